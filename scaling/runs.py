"""Finding a run again, by its folder, id or name, and the model that it trained."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.recipes import read_yaml
from scaling.runtime import Runtime
from scaling.schema import explain, nearest
from scaling.tracking.folder import RunFolder, RunRecord, is_run_folder, recorded_runs
from scaling.tracking.sent import Sent

T = TypeVar("T")


def find_run(text: str, runs: Path = Path("runs")) -> RunFolder:
    """The run that a path, an id (ours or MLflow's, or its beginning) or a name means.

    Of several with one name it is the newest, a training run before an adaptation. Raises
    `UserError` where there is none.
    """
    path = Path(text).expanduser()
    if is_run_folder(path):
        return RunFolder(path.resolve())
    found = sorted(recorded_runs(runs), key=lambda run: not _is_adaptation(run[1]))
    for folder, record in reversed(found):
        mlflow_id = Sent.read(folder).run_id or ""
        if text in (record.id, record.name, folder.path.name) or (
            len(text) >= 6 and mlflow_id.startswith(text)
        ):
            return RunFolder(folder.path.resolve())
    names = [folder.path.name for folder, record in found if not _is_adaptation(record)]
    close = nearest(text, names)
    there = f"{len(names)} runs are there; name one that is elsewhere by its folder."
    hint = f"did you mean {close}?" if close else there
    raise UserError(f"There is no run {text} in {runs.resolve()}; {hint}")


def find_each(text: str, find: Callable[[str], T]) -> list[T]:
    """What a name means, or each of several with commas between; a name may have its own.

    Raises the `UserError` of `find` where one is not there.
    """
    words = [word for word in text.split(",") if word]
    if len(words) < 2:
        return [find(text)]
    for names in ([text], words):
        with suppress(UserError):
            return [find(name) for name in names]
    for end in range(len(words) - 1, 0, -1):  # several, of which some have commas
        with suppress(UserError):
            first = find(",".join(words[:end]))
            return [first, *find_each(",".join(words[end:]), find)]
    return [find(word) for word in words]


def read_config(folder: RunFolder) -> RunConfig:
    """The resolved config of a training run. Raises `UserError` where it is none."""
    if _is_adaptation(folder.read_record()):
        raise UserError(f"{folder.path} is an adaptation, not a training run.")
    return config_at(folder.path / "config.yaml")


def _is_adaptation(record: RunRecord) -> bool:
    return record.tags.get("tinyscale.kind") == "adaptation"


def config_at(path: Path) -> RunConfig:
    """A config as a training run or an export has written it, or a sentence on why it is none."""
    try:
        return RunConfig.model_validate(read_yaml(path))
    except ValidationError as error:
        why = explain(error, RunConfig, {})
        raise UserError(f"{path} is of another version of tinyscale: {why}") from None


def read_tokenizer(folder: RunFolder) -> Tokenizer:
    """The tokenizer of a run."""
    return Tokenizer.load(folder.path / "tokenizer.json")


def load_model(folder: RunFolder, which: str | int, runtime: Runtime) -> tuple[Decoder, Tokenizer]:
    """A run's model as it stood at a checkpoint (`best`, `last` or a step), and its tokenizer."""
    config, tokenizer = read_config(folder), read_tokenizer(folder)
    weights = Checkpoints(folder.path / "checkpoints").at(which).load_weights()
    return build_model(config, weights, tokenizer, runtime), tokenizer


@torch.no_grad()
def build_model(
    config: RunConfig, weights: dict[str, Tensor], tokenizer: Tokenizer, runtime: Runtime
) -> Decoder:
    """The model of a config with given weights (without the member axis), on its device."""
    model = Decoder(
        config.model,
        vocab_size=tokenizer.vocab_size,
        context_length=config.data.context_length,
        dtype=runtime.dtype,
    )
    for name, parameter in model.named_parameters():
        parameter[0].copy_(weights[name])
    return model.to(runtime.device)
