"""Finding a run again, by its folder, id or name, and the model that it trained."""

from pathlib import Path

import torch
from torch import Tensor

from scaling.checkpoint import Checkpoints
from scaling.config import RunConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.recipes import read_yaml
from scaling.runtime import Runtime
from scaling.schema import nearest
from scaling.tracking.folder import RunFolder, is_run_folder, run_folders
from scaling.tracking.sent import Sent


def find_run(text: str, runs: Path = Path("runs")) -> RunFolder:
    """The run that a path, an id (ours or MLflow's, or its beginning) or a name means.

    Of several runs with one name it is the newest. Raises `UserError` where there is none.
    """
    path = Path(text).expanduser()
    if is_run_folder(path):
        return RunFolder(path.resolve())
    folders = run_folders(runs)
    for folder in reversed(folders):
        record = folder.read_record()
        mlflow_id = Sent.read(folder).run_id or ""
        if text in (record.id, record.name, folder.path.name) or (
            len(text) >= 6 and mlflow_id.startswith(text)
        ):
            return RunFolder(folder.path.resolve())
    names = [folder.path.name for folder in folders]
    close = nearest(text, names)
    hint = f"did you mean {close}?" if close else f"{len(names)} runs are there."
    raise UserError(f"There is no run {text} in {runs.resolve()}; {hint}")


def read_config(folder: RunFolder) -> RunConfig:
    """The resolved config of a run."""
    return RunConfig.model_validate(read_yaml(folder.path / "config.yaml"))


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
