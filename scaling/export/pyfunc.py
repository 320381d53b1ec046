"""The model as MLflow serves it: a prompt in, text out, sampling settings as parameters.

`mlflow.pyfunc.load_model` and `mlflow models serve --env-manager local` find `_load_pyfunc` here
by the file `MLmodel`, which `write_served` makes beside the weights.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.runtime import versions

if TYPE_CHECKING:
    import pandas as pd

    from scaling.data.tokenizer import Tokenizer
    from scaling.model.decoder import Decoder

FILES = ("model.safetensors", "config.yaml", "tokenizer.json")
DEFAULTS: dict[str, int | float] = {
    "max_tokens": 200,
    "temperature": 0.8,
    "top_k": 50,  # 0: all
    "top_p": 0.95,
    "seed": 0,
}


class Storyteller:
    """Continues prompts; what `mlflow.pyfunc` calls."""

    def __init__(self, model: "Decoder", tokenizer: "Tokenizer") -> None:
        self._model, self._tokenizer = model, tokenizer

    def predict(
        self, model_input: "pd.DataFrame", params: Mapping[str, Any] | None = None
    ) -> list[str]:
        """The text after each prompt of the first column, but for spaces at the prompt's end."""
        from scaling.sampling import SamplingSettings, generate

        chosen = DEFAULTS | dict(params or {})
        settings = SamplingSettings(
            max_tokens=int(chosen["max_tokens"]),
            temperature=float(chosen["temperature"]),
            top_k=int(chosen["top_k"]) or None,
            top_p=float(chosen["top_p"]),
            seed=int(chosen["seed"]),
        )
        prompts = [str(prompt) for prompt in model_input.iloc[:, 0]]
        return generate(self._model, self._tokenizer, prompts, settings)


def _load_pyfunc(path: str) -> Storyteller:
    """What MLflow calls with the folder of the logged model."""
    from safetensors.torch import load_file

    from scaling.config import RunConfig, RuntimeConfig
    from scaling.data.tokenizer import Tokenizer
    from scaling.recipes import read_yaml
    from scaling.runs import build_model
    from scaling.runtime import resolve

    folder = Path(path)
    config = RunConfig.model_validate(read_yaml(folder / "config.yaml"))
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    weights = load_file(folder / "model.safetensors")
    runtime = resolve(RuntimeConfig(compile=False))
    return Storyteller(build_model(config, weights, tokenizer, runtime), tokenizer)


def write_served(
    out: Path, files: Mapping[str, Path], *, run_id: str, model_id: str | None
) -> None:
    """The folder of a logged model: `files` by the names of `FILES`, and what MLflow reads."""
    from mlflow import pyfunc
    from mlflow.models import Model
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(files[name], out / name)
    settings = [
        ParamSpec(name, DataType.long if isinstance(value, int) else DataType.double, value)
        for name, value in DEFAULTS.items()
    ]
    signature = ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),  # unnamed: a list, or a frame of one column
        outputs=Schema([ColSpec(DataType.string)]),
        params=ParamSchema(settings),
    )
    model = Model(run_id=run_id, model_id=model_id, signature=signature)
    pyfunc.add_to_model(model, loader_module="scaling.export.pyfunc", python_env="python_env.yaml")
    model.save(str(out / "MLmodel"))
    found = versions()
    pinned = [f"{name}=={found[name].split('+')[0]}" for name in ("torch", "tokenizers", "mlflow")]
    (out / "requirements.txt").write_text(
        "\n".join(["# and tinyscale itself, from its repository", *pinned]) + "\n"
    )
    version = ".".join(map(str, sys.version_info[:3]))
    (out / "python_env.yaml").write_text(
        f"python: {version}\nbuild_dependencies: [pip]\ndependencies: [-r requirements.txt]\n"
    )
