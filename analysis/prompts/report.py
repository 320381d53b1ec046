"""The folder that a prompt eval leaves, and its artifacts in the store."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.prompts.evaluate import Evaluation
from analysis.prompts.figures import draw
from analysis.prompts.tables import breakdown, correlations, loss_column, summary
from scaling.errors import first_line
from scaling.tracking.address import existing, tracking_uri
from scaling.tracking.folder import RunRecord
from scaling.tracking.reports import log_finding, log_report
from scaling.tracking.store import lacks_run, store_errors
from scaling.trained import Trained

MEASURES = ("accuracy", "weighted_score", "p_right")


@dataclass(frozen=True)
class Report:
    """The tables of an evaluation."""

    evaluation: Evaluation
    summary: pd.DataFrame
    categories: pd.DataFrame
    difficulties: pd.DataFrame
    correlations: dict[str, dict[str, float | None]]

    @classmethod
    def of(cls, evaluation: Evaluation) -> "Report":
        """Make them."""
        table = summary(evaluation)
        return cls(
            evaluation,
            table,
            breakdown(evaluation, "category"),
            breakdown(evaluation, "difficulty"),
            correlations(table),
        )

    @property
    def key(self) -> str:
        """Hash of the answers of all models, in any order."""
        return hashlib.sha256(" ".join(sorted(self.evaluation.keys)).encode()).hexdigest()[:24]

    def write(self, folder: Path) -> list[str]:
        """All tables and figures, with their numbers beside them; their names in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        drawn = draw(self.summary, self.categories, self.difficulties, folder / "figures")
        return [*self._write_tables(folder), *(f"figures/{path.name}" for path in drawn)]

    def _write_tables(self, folder: Path) -> list[str]:
        tables = {
            "eval_results.csv": self.evaluation.results,
            "summary_table.csv": self.summary,
            "category_breakdown.csv": self.categories,
            "difficulty_breakdown.csv": self.difficulties,
        }
        for name, table in tables.items():
            table.to_csv(folder / name, index=False)
        (folder / "summary_table.md").write_text(self.markdown(), encoding="utf-8")
        about = {
            "prompts": self.evaluation.prompts.name,
            "prompts_hash": self.evaluation.prompts.hash,
            "items": len(self.evaluation.prompts.items),
            "settings": self.evaluation.settings.as_dict(),
            "rank_correlations": self.correlations,
        }
        (folder / "evaluation.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        return [*tables, "summary_table.md", "evaluation.json"]

    def one(self, trained: Trained) -> "Report":
        """The same of one model alone."""
        evaluation, label = self.evaluation, trained.label
        place = evaluation.models.index(trained)
        alone = Evaluation(
            evaluation.prompts,
            evaluation.settings,
            [trained],
            evaluation.results[evaluation.results["run"] == label],
            [evaluation.keys[place]],
            evaluation.fresh,
        )
        return Report.of(alone)

    def markdown(self) -> str:
        """The summary for people."""
        prompts, loss = self.evaluation.prompts, loss_column(self.summary)
        losses = [loss] if loss else []
        heads = ["run", "parameters", "step", *(name.replace("_", " ") for name in losses)]
        lines = [
            f"# {prompts.name}: {len(prompts.items)} prompts, {len(self.summary)} models",
            "",
            f"| {' | '.join(heads)} | accuracy | weighted score | p(right) |",
            "|---|" + "---:|" * (len(heads) + 2),
        ]
        for row in self.summary.to_dict("records"):
            cells = [
                str(row["run"]),
                _count(row["parameters"]),
                f"{row['step']:,}",
                *("" if pd.isna(row[name]) else f"{row[name]:.4f}" for name in losses),
                *(_interval(row, measure) for measure in MEASURES),
            ]
            lines.append("| " + " | ".join(cells) + " |")
        chance = self.summary["chance"].iloc[0]
        lines += [
            "",
            f"Intervals are of 95 percent, over items. Blind choice passes {chance:.1%}; the"
            " weighted score counts each item's points; p(right) is the mean probability of the"
            " right answer among the choices.",
        ]
        if loss == "val_bpb":
            lines[-1] += " The tokenizers differ, so losses are in bits per byte."
        if loss is None:
            lines[-1] += " The models learned from different texts: their losses do not compare."
        ranks = self._ranks()
        return "\n".join([*lines, "", ranks, ""] if ranks else [*lines, ""])

    def _ranks(self) -> str:
        known = [
            f"{measure} with {axis} {value:+.2f}"
            for measure, axes in self.correlations.items()
            for axis, value in axes.items()
            if value is not None and axis != "tokens"
        ]
        return f"Rank correlation over models: {', '.join(known)}." if known else ""

    def publish(
        self, folder: Path, files: Sequence[str], say: Callable[[str], None]
    ) -> str | None:
        """Log each model's part to its run, and the whole to a run of its own; returns its id.

        The whole is the `files` that `write` left in the folder. Says so where the store fails, of
        a model (whose run may be gone from it) or of the whole; returns None where nothing of it
        is there.
        """
        logged, failed = list[RunRecord](), dict[str, bool]()  # by store: whether it is down
        for trained in self.evaluation.models:
            if trained.run is None or trained.run_id is None:
                continue
            record = trained.run.read_record()
            if failed.get(record.uri):  # to ask it again is to wait again
                continue
            try:
                self._publish_one(trained, record.uri)
                logged.append(record)
            except store_errors() as error:
                failed[record.uri] = not lacks_run(error)
                say(
                    f"{trained.label}: its answers are not in its store: {first_line(error)[:160]}"
                )
        if failed and not logged:
            return None
        try:
            run_id = self._log(folder, files, next(iter(logged), None))
        except store_errors() as error:
            say(f"the answers are not in the store: {first_line(error)[:160]}")
            return None
        say(f"logged to the store as run {run_id}, and to {len(logged)} runs")
        return run_id

    def _log(self, folder: Path, files: Sequence[str], first: RunRecord | None) -> str:
        uri = existing(first.uri) if first else tracking_uri()
        settings = {key: str(value) for key, value in self.evaluation.settings.as_dict().items()}
        return log_report(
            uri,
            experiment=first.experiment if first else "tinyscale",
            name=f"eval-{self.evaluation.prompts.name}",
            kind="eval",
            key=self.key,
            folder=folder,
            files=files,
            params={
                "prompts": self.evaluation.prompts.name,
                "prompts_hash": self.evaluation.prompts.hash[:16],
                "items": str(len(self.evaluation.prompts.items)),
                "models": ", ".join(t.label for t in self.evaluation.models)[:6000],
                **settings,
            },
            metrics=self._rank_metrics(),
            table=("eval_results.json", self.evaluation.results),
        )

    def _rank_metrics(self) -> dict[str, float]:
        return {
            f"rank/{measure}/{axis}": value
            for measure, axes in self.correlations.items()
            for axis, value in axes.items()
            if value is not None
        }

    def _publish_one(self, trained: Trained, uri: str) -> None:
        assert trained.run_id is not None
        own, name = self.one(trained), f"evals/{self.evaluation.prompts.name}"
        row: dict[Any, Any] = own.summary.iloc[0].to_dict()
        with tempfile.TemporaryDirectory() as beside:
            own.write(Path(beside))
            log_finding(
                uri,
                trained.run_id,
                name=name,
                key=own.evaluation.keys[0],
                folder=Path(beside),
                metrics={
                    f"eval/{self.evaluation.prompts.name}/{m}": float(row[m])
                    for m in MEASURES
                    if row[m] is not None and not pd.isna(row[m])
                },
                step=trained.step,
            )


def _interval(row: dict[Any, Any], measure: str) -> str:
    if pd.isna(row[measure]):
        return ""
    return f"{row[measure]:.3f} [{row[measure + '_low']:.3f}, {row[measure + '_high']:.3f}]"


def _count(value: Any) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"
