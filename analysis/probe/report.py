"""The folder that a probe leaves, and its artifacts in the store."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.probe.gallery import markdown, page
from analysis.probe.write import Written
from scaling.errors import first_line
from scaling.sampling import SamplingSettings
from scaling.tracking.address import existing, tracking_uri
from scaling.tracking.reports import log_report
from scaling.tracking.store import store_errors

FILES = ("gallery.html", "gallery.md", "probe.json", "quality.csv")


@dataclass(frozen=True)
class Probe:
    """Stories with their quality."""

    written: Sequence[Written]
    quality: pd.DataFrame
    settings: SamplingSettings

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a program."""
        return {
            "settings": asdict(self.settings),
            "quality": json.loads(self.quality.to_json(orient="records")),
            "models": [
                {
                    "run": one.trained.label,
                    "mlflow_run_id": one.trained.run_id,
                    "step": one.trained.step,
                    **asdict(one.trained.facts),
                    "stories": [
                        {
                            "prompt": story.prompt,
                            "sample": story.sample,
                            "text": story.text,
                            "tokens": len(story.ids),
                            "ended": story.ended,
                            "log_p": story.log_p,
                            "log_p_per_token": story.log_p_per_token,
                        }
                        for story in one.stories
                    ],
                }
                for one in self.written
            ],
        }

    def write(self, folder: Path) -> None:
        """The `FILES`: `gallery.html`, `gallery.md`, `probe.json` and `quality.csv`."""
        folder.mkdir(parents=True, exist_ok=True)
        parts = (self.written, self.quality, self.settings)
        (folder / "gallery.html").write_text(page(*parts), encoding="utf-8")
        (folder / "gallery.md").write_text(markdown(*parts), encoding="utf-8")
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False)
        (folder / "probe.json").write_text(text, encoding="utf-8")
        self.quality.to_csv(folder / "quality.csv", index=False)

    def publish(self, folder: Path, say: Callable[[str], None]) -> str | None:
        """Log the report as a run of its own; returns its id, or None where the store fails."""
        try:
            run_id = self._log(folder)
        except store_errors() as error:
            say(f"the probe is not in the store: {first_line(error)[:160]}")
            return None
        say(f"logged to the store as run {run_id}")
        return run_id

    def _log(self, folder: Path) -> str:
        models = [one.trained for one in self.written]
        runs = [t.run for t in models if t.run is not None and t.run_id is not None]
        first = runs[0].read_record() if runs else None
        said = json.dumps(self.as_dict(), sort_keys=True)
        return log_report(
            existing(first.uri) if first else tracking_uri(),
            experiment=first.experiment if first else "tinyscale",
            name="probe",
            kind="probe",
            key=hashlib.sha256(said.encode()).hexdigest()[:24],
            folder=folder,
            files=FILES,
            params={
                "models": ", ".join(t.label for t in models)[:6000],
                **{key: str(value) for key, value in asdict(self.settings).items()},
            },
            metrics={},
        )
