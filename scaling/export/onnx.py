"""A model as an ONNX graph, for runtimes that know nothing of Python."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.runtime import resolve
from scaling.trained import Trained


class _OneMember(nn.Module):
    """A decoder of one member without the member axis."""

    def __init__(self, model: Decoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        """Ids `[B, T]` to logits `[B, T, V]`."""
        return self.model(ids.unsqueeze(0)).squeeze(0)


def onnx_program(trained: Trained) -> torch.onnx.ONNXProgram:
    """The graph from `input_ids [batch, time]` (int64) to `logits [batch, time, V]` (fp32).

    Batch and time are free; time ends at the context length that the model was trained with.

    Raises:
        UserError: a package is missing, or torch's exporter has no ONNX for a part of the model.
    """
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        wanted = " and ".join(missing)
        raise UserError(f"--to onnx needs {wanted}: `pip install {' '.join(missing)}` does that.")
    model, _ = trained.load(resolve(RuntimeConfig(device="cpu", precision="fp32", compile=False)))
    # Sizes of one would be taken for constants.
    example = torch.zeros(2, max(2, model.context_length), dtype=torch.long)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _OneMember(model).eval(),
                (example,),
                input_names=["input_ids"],
                output_names=["logits"],
                dynamic_shapes=({0: "batch", 1: "time"},),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        why = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(
            f"torch {torch.__version__} cannot write {trained.label} as ONNX ({why});"
            " `--to safetensors` exports it with a loader of our own."
        ) from error
    assert program is not None  # it is for files alone that none comes back
    return program


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's notes on packages that it would have tables for (torchvision)."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
