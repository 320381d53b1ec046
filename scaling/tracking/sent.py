"""What of a run folder has reached the store, noted in the folder itself."""

import json
from dataclasses import asdict, dataclass, field

from scaling.tracking.folder import RunFolder, RunRecord, write_whole


@dataclass
class Sent:
    """What the store has: the file `sent.json`."""

    run_id: str | None = None
    offset: int = 0  # bytes of the metrics log
    params: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    files: bool = False
    model_id: str | None = None
    model: bool = False
    samples: int = 0  # files of the folder `samples`
    traceback: bool = False  # of a failure, which a run that went on has overcome
    status: str = ""
    ended: int | None = None  # the ending that `files`, `model` and `status` are of

    @classmethod
    def read(cls, folder: RunFolder) -> "Sent":
        """As last noted; nothing sent where there is no note."""
        try:
            return cls(**json.loads((folder.path / "sent.json").read_text()))
        except (FileNotFoundError, ValueError):  # torn by a power cut: `sync` can send all again
            return cls()

    def is_whole(self, record: RunRecord) -> bool:
        """Whether the store has all of a run that has ended so; a resumed one ends again."""
        return (self.status, self.ended) == (record.status, record.ended)

    def write(self, folder: RunFolder) -> None:
        """Note it."""
        write_whole(folder.path / "sent.json", json.dumps(asdict(self)))


def mend(folder: RunFolder) -> None:
    """Before more is logged: cut off a last line that a killed process left unfinished, and have
    nothing noted as sent that is behind the log's end, which a power cut may have put earlier."""
    folder.mend_log()
    sent, size = Sent.read(folder), folder.log.stat().st_size if folder.log.exists() else 0
    if sent.offset > size:
        sent.offset = size
        sent.write(folder)
