"""A trained model written as a folder that other tools load."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import load_file, save_file

from scaling.config import RunConfig
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.export.card import card, data_set
from scaling.export.families import Family, Shape, family_of
from scaling.export.fold import fold
from scaling.export.folder import CONFIG, FORMATS, METADATA, is_exported
from scaling.export.names import to_theirs
from scaling.export.onnx import onnx_program
from scaling.export.tokenizer import write_tokenizer
from scaling.outputs import ready_folder
from scaling.runs import read_tokenizer
from scaling.runtime import versions
from scaling.trained import Trained

_LOADER = '''"""Load this model with tinyscale: `python load.py "Once upon a time"`."""

import sys
from pathlib import Path

from scaling.config import RuntimeConfig
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, generate
from scaling.trained import find_trained

model, tokenizer = find_trained(str(Path(__file__).parent)).load(resolve(RuntimeConfig()))
if __name__ == "__main__":
    prompt = " ".join(sys.argv[1:]).rstrip(" ") or "Once upon a time"
    print(prompt + generate(model, tokenizer, [prompt], SamplingSettings())[0])
'''


def export(trained: Trained, to: str, out: Path, *, force: bool = False) -> dict[str, Any]:
    """Write the folder; returns its metadata.

    Raises:
        UserError: the model has no equivalent in this format, or the folder is in use or cannot
            be written to.
    """
    if to not in FORMATS:
        raise UserError(f"--to is {to!r}, but it is one of {', '.join(FORMATS)}.")
    if trained.run is None:
        raise UserError(f"{trained.label} is an exported folder; export the run it came from.")
    _check_place(out, force)  # before the graph, which takes its time
    tokenizer = read_tokenizer(trained.run)
    weights = load_file(trained.weights)
    config, family = trained.config, None
    program = onnx_program(trained) if to == "onnx" else None
    if to == "hf":
        model, weights = fold(config.model, weights)
        config = config.model_copy(update={"model": model})
        shape = Shape(tokenizer.vocab_size, config.data.context_length, tokenizer.eot)
        family = family_of(model, shape)
        weights = to_theirs(family.pieces, weights)
    _make_place(out)
    metadata = _metadata(trained, to, family, tokenizer)
    if program is not None:
        program.save(out / "model.onnx")
    else:
        whole = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(whole, out / "model.safetensors", metadata={"format": "pt"})
    _write_config(config, out)
    if to == "safetensors":
        tokenizer.save(out / "tokenizer.json")
        (out / "load.py").write_text(_LOADER, encoding="utf-8")
    else:
        write_tokenizer(tokenizer, config.data.context_length, out)
    if family is not None:
        _write_json(out / "config.json", family.settings)
        _write_json(out / "generation_config.json", _generation(metadata))
    (out / "README.md").write_text(card(metadata, config, out.name), encoding="utf-8")
    _write_json(out / METADATA, metadata)  # last: an export that broke off is none
    return metadata


def _check_place(out: Path, force: bool) -> None:
    if _in_use(out) and not (force and is_exported(out)):
        hint = "--force replaces it" if is_exported(out) else "it is no export; choose another"
        raise UserError(f"{out} is there already; {hint}.")
    ready_folder(out if out.is_dir() else out.parent)


def _make_place(out: Path) -> None:
    if _in_use(out):
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _in_use(out: Path) -> bool:
    return out.exists() and any(out.iterdir() if out.is_dir() else [out])


def _metadata(
    trained: Trained, to: str, family: Family | None, tokenizer: Tokenizer
) -> dict[str, Any]:
    assert trained.run is not None
    config, facts, record = trained.config, trained.facts, trained.run.read_record()
    summary_file = trained.run.path / "summary.json"
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else {}
    # Of the state that is exported, and no other's.
    own = tuple(
        f"{which}_"
        for which, step in (("final", "steps"), ("best", "best_step"))
        if summary.get(step) == trained.step
    )
    metrics = {
        key: value
        for key, value in summary.items()
        if key.startswith(own) and key != "best_step" and "second" not in key
    }
    data, licence = data_set(config)
    return {
        "format": to,
        "family": family.name if family else None,
        "name": config.name,
        "run": trained.run.path.name,
        "mlflow_run_id": trained.run_id,
        "identity": config.identity,
        "seed": config.seed,
        "step": trained.step,
        "tokens": facts.tokens,
        "parameters_total": facts.parameters,
        "parameters_non_embedding": facts.non_embedding,
        "vocab_size": tokenizer.vocab_size,
        "eot": tokenizer.eot,
        "context_length": config.data.context_length,
        "dataset": data,
        "dataset_licence": licence,
        "dataset_digest": record.dataset.get("digest"),
        "val_loss": facts.loss,
        "val_bpb": facts.bpb,
        "metrics": metrics,
        "versions": versions(),
    }


def _generation(metadata: dict[str, Any]) -> dict[str, Any]:
    ends = {f"{name}_token_id": metadata["eot"] for name in ("bos", "eos", "pad")}
    # Beyond its context a model of learned positions has none, and transformers fails.
    return {**ends, "max_new_tokens": min(200, metadata["context_length"] // 2)}


def _write_config(config: RunConfig, out: Path) -> None:
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    (out / CONFIG).write_text(text, encoding="utf-8")


def _write_json(path: Path, tree: dict[str, Any]) -> None:
    path.write_text(json.dumps(tree, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
