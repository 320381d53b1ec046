"""Checkpoints of one run: written whole or not at all, never pickled code.

A checkpoint is a folder `step-<n>` with `model.safetensors`, `optimizer.safetensors`, perhaps
`average.safetensors`, and `state.json`; `index.json` says which of them is the last, the best,
and which are kept.
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from scaling.errors import UserError
from scaling.tracking.folder import write_whole


@dataclass(frozen=True)
class Checkpoint:
    """One saved state of one run, after `step` optimizer steps."""

    path: Path
    step: int

    @property
    def weights(self) -> Path:
        """The weights alone, by parameter name, without the member axis."""
        return self.path / "model.safetensors"

    def load_weights(self) -> dict[str, Tensor]:
        """The weights, on the CPU."""
        return load_file(self.weights)

    def load_optimizer(self) -> dict[str, Any]:
        """The optimizer's `state_dict`."""
        tensors = load_file(self.path / "optimizer.safetensors")
        layout = json.loads((self.path / "state.json").read_text())["optimizer"]
        state: dict[int, dict[str, Any]] = {}
        for key, value in layout["scalars"].items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        for key, tensor in tensors.items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = tensor
        return {"state": state, "param_groups": layout["param_groups"]}

    def load_average(self) -> dict[str, Tensor]:
        """The averaged weights, where the run keeps any, on the CPU."""
        return load_file(self.path / "average.safetensors")

    def load_progress(self) -> dict[str, Any]:
        """What the trainer noted beside the tensors."""
        progress: dict[str, Any] = json.loads((self.path / "state.json").read_text())["progress"]
        return progress


@dataclass
class _Index:
    last: int | None = None
    best: int | None = None
    kept: list[int] = field(default_factory=list)


class Checkpoints:
    """The checkpoints of a run folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def last(self) -> Checkpoint | None:
        """The newest state: what a resumed run starts from."""
        return self._get(self._index().last)

    @property
    def best(self) -> Checkpoint | None:
        """The state with the lowest validation loss."""
        return self._get(self._index().best)

    @property
    def steps(self) -> list[int]:
        """The steps of all saved states."""
        index = self._index()
        return sorted({*index.kept, *[s for s in (index.last, index.best) if s is not None]})

    def at(self, which: str | int) -> Checkpoint:
        """`last`, `best`, or the state after a given step."""
        found = {"last": self.last, "best": self.best}.get(str(which))
        if found is None and str(which).isdigit() and int(which) in self.steps:
            found = self._get(int(which))
        if found is None:
            named = [name for name, it in (("last", self.last), ("best", self.best)) if it]
            have = ", ".join([*named, *map(str, self.steps)]) or "none"
            raise UserError(f"{self.path.parent} has no checkpoint {which}; it has {have}.")
        return found

    def save(
        self,
        step: int,
        weights: dict[str, Tensor],
        optimizer: dict[str, Any],
        progress: dict[str, Any],
        *,
        average: dict[str, Tensor] | None = None,
        best: bool = False,
        keep: int | None = None,
    ) -> Checkpoint:
        """Save a state as the last; also as the best, or as one of the `keep` newest kept ones.

        The last is not written anew: at one step there is one state.
        """
        index = self._index()
        checkpoint = Checkpoint(self.path / f"step-{step:07d}", step)
        if index.last != step or not checkpoint.path.is_dir():
            self._write(checkpoint, weights, optimizer, progress, average)
        index.last = step
        if best:
            index.best = step
        if keep is not None:
            index.kept = sorted({*index.kept, step})[-keep:]
        write_whole(self.path / "index.json", json.dumps(asdict(index)))
        self._sweep(index)
        return checkpoint

    def begin_with(self, other: "Checkpoints") -> None:
        """Have the last and the best of another run, copied, and nothing else."""
        shutil.rmtree(self.path, ignore_errors=True)
        theirs = other._index()
        index = _Index(theirs.last, theirs.best)
        for step in {index.last, index.best} - {None}:
            name = f"step-{step:07d}"
            shutil.copytree(other.path / name, self.path / name)
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.path / "index.json", json.dumps(asdict(index)))

    def _write(
        self,
        checkpoint: Checkpoint,
        weights: dict[str, Tensor],
        optimizer: dict[str, Any],
        progress: dict[str, Any],
        average: dict[str, Tensor] | None,
    ) -> None:
        beside = self.path / f".{checkpoint.path.name}.{os.getpid()}"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        tensors: dict[str, Tensor] = {}
        scalars: dict[str, Any] = {}
        for index, entries in optimizer["state"].items():
            for name, value in entries.items():
                (tensors if isinstance(value, Tensor) else scalars)[f"{index}.{name}"] = value
        files = {"model": weights, "optimizer": tensors}
        if average is not None:
            files["average"] = average
        for name, content in files.items():
            whole = {k: v.contiguous().cpu() for k, v in content.items()}
            save_file(whole, beside / f"{name}.safetensors")
        state = {
            "progress": progress,
            "optimizer": {"scalars": scalars, "param_groups": optimizer["param_groups"]},
        }
        (beside / "state.json").write_text(json.dumps(state))
        for file in beside.iterdir():
            with file.open("rb") as stream:
                os.fsync(stream.fileno())
        shutil.rmtree(checkpoint.path, ignore_errors=True)
        beside.rename(checkpoint.path)

    def _index(self) -> _Index:
        path = self.path / "index.json"
        return _Index(**json.loads(path.read_text())) if path.exists() else _Index()

    def _get(self, step: int | None) -> Checkpoint | None:
        return None if step is None else Checkpoint(self.path / f"step-{step:07d}", step)

    def _sweep(self, index: _Index) -> None:
        """Remove what the index no longer names, and what killed processes left unfinished."""
        named = {index.last, index.best, *index.kept}
        for path in self.path.iterdir():
            unfinished = path.name.startswith(".step-")
            if unfinished or (path.name.startswith("step-") and int(path.name[5:]) not in named):
                shutil.rmtree(path, ignore_errors=True)
