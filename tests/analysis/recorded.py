"""Runs of a known law, recorded in a real store through the tracker, without training anything."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scaling.optim import warmup_steps
from scaling.recipes import load_config
from scaling.tracking.artifacts import write_curves
from scaling.tracking.folder import Row, RunFolder, Status, write_whole
from scaling.tracking.store import client, sync
from scaling.tracking.tracker import new_run

if TYPE_CHECKING:
    from mlflow import MlflowClient

VOCABULARY = 512
LAW = {"E": 1.2, "A": 30.0, "B": 60.0, "alpha": 0.35, "beta": 0.32}
NOISE = 0.004  # of the logarithm of a loss, between seeds


@dataclass
class Recorder:
    """Records runs under a folder, in its sqlite store."""

    place: Path
    experiment: str = "study"
    uri: str = ""
    count: int = 0
    store: "MlflowClient" = field(init=False)

    def __post_init__(self) -> None:
        self.uri = self.uri or f"sqlite:///{self.place}/mlflow.db"
        self.store = client(self.uri)

    def record(
        self,
        *,
        width: int = 32,
        layers: int = 2,
        tokens: int = 200_000,
        seed: int = 1,
        lr: float = 3e-3,
        flags: tuple[str, ...] = (),
        gain: float = 0.0,
        status: Status = "FINISHED",
        diverged: bool = False,
        loss: float | None = None,
        tags: Mapping[str, str] | None = None,
        points: int = 8,
        facts: Mapping[str, float | str] | None = None,
        name: str | None = None,
    ) -> RunFolder:
        """One run: its final loss follows `LAW` in N and D, a bowl in lr, and the seed's noise."""
        words = [
            *("--name", name or f"w{width}", "--seed", str(seed)),
            *("--model.head_dim", "16", "--model.d_model", str(width)),
            *("--model.n_layers", str(layers), "--budget.tokens", str(tokens)),
            *("--optimizer.lr", str(lr), "--data.context_length", "64"),
            *("--tracking.experiment", self.experiment, "--tracking.uri", self.uri),
            *("--tracking.folder", str(self.place / "runs")),
            *("--data.tokenizer.vocab_size", str(VOCABULARY)),
            *flags,
        ]
        body = 12 * layers * width**2
        total = body + VOCABULARY * width
        per_token = 6.0 * total
        steps = max(1, round(tokens / 1024))
        trained = steps * 1024
        noise = np.random.default_rng([seed, width, layers, tokens]).standard_normal()
        bowl = 0.02 * (math.log10(lr) - math.log10(3e-3)) ** 2
        final = LAW["E"] + LAW["A"] * total ** -LAW["alpha"] + LAW["B"] * trained ** -LAW["beta"]
        final = loss or final * math.exp(NOISE * noise + bowl + gain)
        known: dict[str, float | str] = {
            "parameters.total": total,
            "parameters.non_embedding": body,
            "parameters.with_head": total,
            "resolved.steps": steps,
            "resolved.warmup_steps": warmup_steps(0.05, steps),
            "resolved.tokens": trained,
            "resolved.epochs": trained / 700_000,
            "resolved.flops": trained * per_token,
            "flops_per_token": per_token,
            "vocab_size": VOCABULARY,
            "unique_tokens": 700_000,
            "validation_tokens": 40_000,
            "validation_bytes": 80_000,
            "device": "test",
            "precision": "fp32",
            "floor_nats_per_token": LAW["E"],
            "floor_bits_per_byte": LAW["E"] * 0.72,
        }
        config = load_config("baseline", words)
        folder = new_run(
            config,
            run_id=RunFolder.new_id(),
            cohort=[],
            facts={key: value for key, value in (known | dict(facts or {})).items() if value},
            tags={"tinyscale.training": config.training} | dict(tags or {}),
            dataset={},
            claimed=None,
        )
        self._log(folder, final, steps, points, status, diverged)
        sync(folder, self.store)
        self.count += 1
        return folder

    def _log(
        self,
        folder: RunFolder,
        final: float,
        steps: int,
        points: int,
        status: Status,
        diverged: bool,
    ) -> None:
        """A curve that falls to the final loss, and the closing figures of an ended run."""
        rows = []
        start = math.log(VOCABULARY)
        for k in range(points + 1):
            done = k / points
            loss = final + (start - final) * (1 - done) ** 4
            step = round(steps * done)
            metrics = {"val/loss": loss, "val/bpb": loss * 0.72, "tokens": step * 1024.0}
            if k:
                metrics |= {"train/loss": loss * 0.99, "grad_norm": 0.2 + (1 - done), "lr": 1e-3}
                metrics |= {"tokens_per_second": 50_000.0 + 1000 * (k % 3), "seconds": 3.0 * k}
                metrics |= {"grad_norm/blocks.0": 0.1, "weight_norm/blocks.0": 3 + done}
                metrics |= {"weight_norm/embedding": 4.0}
            rows.append(Row(step, 1_700_000_000_000 + 1000 * k, metrics))
        if status == "FINISHED" and not diverged:
            figures = {
                "final/train_loss": final * 0.99,
                "final/val_loss": final,
                "final/val_bpb": final * 0.72,
                "best/val_loss": final * 0.999,
                "best/val_bpb": final * 0.719,
                "final/test_loss": final * 1.001,
                "final/tokens_per_second": 51_000.0,
                "final/wall_seconds": steps * 1024 / 50_000,
            }
            rows.append(Row(steps, 1_700_000_100_000, figures))
        with folder.log.open("w", encoding="utf-8") as stream:
            for row in rows:
                line = {"step": row.step, "time": row.time, "metrics": row.metrics}
                stream.write(json.dumps(line) + "\n")
        if diverged:
            tags = folder.read_record().tags
            own = {"tinyscale.diverged": "true", "tinyscale.diverged_step": str(steps // 2)}
            folder.update(tags=tags | own)
        if status != "RUNNING":
            write_curves(rows, folder.path / "metrics.csv")
            write_whole(folder.path / "summary.json", "{}")
            folder.update(status=status, ended=1_700_000_200_000)


def grid(
    recorder: Recorder, widths: tuple[int, ...], tokens: tuple[int, ...], seeds: tuple[int, ...]
) -> None:
    """Every width at every token count, with every seed."""
    for width in widths:
        for count in tokens:
            for seed in seeds:
                recorder.record(width=width, tokens=count, seed=seed)
