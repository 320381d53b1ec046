"""What adaptations say: known laws found again, fronts, tests and the report."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from analysis import reporting
from analysis.adaptation import figures
from analysis.adaptation.answers import answer, self_edits
from analysis.adaptation.figures import baseline_names, laws_figure
from analysis.adaptation.laws import headline, laws
from analysis.adaptation.study import study_adaptations
from analysis.adaptation.table import adaptations, summary
from analysis.cli import analyze
from analysis.fits import FitOptions
from analysis.runs import Selection
from analysis.study import Request
from scaling.adapt.config import AdaptConfig, Baseline, Edit, FileTasks, Full, Lora, StoriesTasks
from scaling.errors import UserError
from scaling.tracking.address import tracking_uri
from scaling.tracking.store import client, experiment_id
from scaling.tracking.tracker import flatten

STEPS, SEEDS = (1, 3, 10, 30), (1, 2, 3)
HELP = {"verbatim": 0.0, "restatement": -0.05, "continuation": 0.0}  # to the loss
OPTIONS = FitOptions(bootstrap=100)


def recorded(noise: float = 0.002) -> pd.DataFrame:
    """Adaptations of two baselines that follow known laws, as the store's runs would say."""
    draw = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for b, (baseline, size) in enumerate((("small-0a1b2c3d", 5e5), ("large-1a2b3c4d", 1.3e6))):
        for edit, change in HELP.items():
            for rank in (4, 8, None):
                for steps in STEPS:
                    for seed in SEEDS:
                        tokens = 128 * steps
                        own = draw.normal(0, noise, 2)
                        loss = 2.0 + 8.0 * tokens**-0.3 - 0.2 * b + change + own[0]
                        forgetting = 2e-4 * tokens**0.9 * float(np.exp(own[1]))
                        method = f"rank {rank}" if rank else "full"
                        rows.append(
                            {"run_id": f"r{len(rows)}", "baseline": baseline, "parameters": size,
                             "edit": edit, "method": method, "rank": rank, "steps": steps,
                             "seed": seed, "tokens": float(tokens), "loss": loss, "before": 5.0,
                             "gain": 5.0 - loss, "forgetting": forgetting,
                             "reward": 5.0 - loss - forgetting, "accuracy": 0.5, "p_right": 0.5,
                             "accuracy_before": 0.25, "p_right_before": 0.25,
                             "general_before": 2.0, "tokens_tried": 0.0, "wall_seconds": 1.0,
                             "writing_seconds": 0.0}
                        )  # fmt: skip
    return pd.DataFrame(rows)


def test_known_laws_are_found_again() -> None:
    found = laws(recorded(), OPTIONS, lambda _: None)
    assert {law.edit for law in found} == {"verbatim"}
    for baseline in ("small-0a1b2c3d", "large-1a2b3c4d"):
        for method in ("rank 4", "rank 8", "full"):
            learned = headline(found, baseline, method, "loss")
            assert learned is not None
            assert learned.formula == "L = E + A D^-a"
            assert learned.fit.values()["alpha"] == pytest.approx(0.3, abs=0.05)
            forgotten = headline(found, baseline, method, "forgetting")
            assert forgotten is not None
            assert forgotten.fit.values()["alpha"] == pytest.approx(0.9, abs=0.01)
            assert forgotten.fit.ci["alpha"] is None  # three seeds are too few


def test_points_without_forgetting_are_left_out_and_counted() -> None:
    runs = recorded()
    runs.loc[(runs["steps"] == 1) & (runs["seed"] == 1), "forgetting"] = -0.01
    found = laws(runs, OPTIONS, lambda _: None)
    assert {law.left_out for law in found if law.outcome == "forgetting"} == {1}
    few = runs[runs["steps"].isin([1, 3])]
    assert laws(few, OPTIONS, lambda _: None) == []


def test_only_self_edits_that_help_beat_verbatim() -> None:
    tests = self_edits(recorded())
    assert sorted(tests) == list(STEPS)
    for some in tests.values():
        by_name = {one.group: one for one in some}
        assert by_name["restatement"].pairs == 6  # baselines and seeds, methods averaged
        assert by_name["restatement"].difference == pytest.approx(-0.05, abs=0.01)
        assert by_name["restatement"].adjusted < 0.01  # type: ignore[operator]
        assert by_name["continuation"].adjusted > 0.05  # type: ignore[operator]
    said = answer(tests)
    assert "more is learned than from verbatim by restatement at 1 step," in said
    assert "not told from chance: continuation at 1 step," in said
    assert self_edits(recorded().query("edit == 'verbatim'")) == {}


def test_an_edit_is_held_against_verbatim_by_the_same_methods_alone() -> None:
    runs = recorded().query("edit != 'restatement'")
    runs.loc[runs["method"] == "full", "loss"] -= 0.3  # which learns more, whatever the edit
    gone = (runs["edit"] == "continuation") & (runs["method"] != "full") & (runs["steps"] == 30)
    (test,) = self_edits(runs[~gone])[30]
    assert abs(test.difference) < 0.01
    assert "12 adaptations have no counterpart" in test.sentence
    assert "not told from chance: continuation" in answer(self_edits(runs[~gone]))


def test_chance_is_reckoned_for_all_that_is_said_together() -> None:
    tests = [one for some in self_edits(recorded()).values() for one in some]
    assert len(tests) == 2 * len(STEPS)
    surest = min(tests, key=lambda one: one.p_value or 0.0)
    assert surest.adjusted == pytest.approx(len(tests) * (surest.p_value or 0.0))


@pytest.mark.parametrize("rounding", [0.0, 1e-3])  # the second as bf16 may do it
def test_seeds_that_change_nothing_are_no_sample(rounding: float) -> None:
    own = recorded().query("edit == 'verbatim' and method == 'full' and seed == 1")
    copies = [
        own.assign(seed=seed, loss=own["loss"] + rounding * (seed % 2),
                   gain=own["gain"] - rounding * (seed % 2))
        for seed in range(1, 8)
    ]  # fmt: skip
    runs = pd.concat(copies, ignore_index=True)
    table = summary(runs)
    assert set(table["seeds"]) == {7}
    assert table[["gain_low", "gain_high", "forgetting_low"]].isna().all().all()
    found = laws(runs, OPTIONS, lambda _: None)
    assert len(found) == 6  # of each baseline two of the loss and one of forgetting
    assert all(law.fit.converged for law in found if law.outcome == "forgetting")
    for law in found:
        assert law.fit.ci["alpha"] is None
        assert len(law.points) == len(STEPS)


def test_seeds_that_agree_by_chance_are_one() -> None:
    """Of LoRA a seed draws the first weights, and of a passage in pieces their order."""
    own = recorded().query("edit == 'verbatim' and seed == 1")
    lora = own[own["method"] == "rank 4"]
    pieces = own[own["method"] == "full"].assign(loss=lambda rows: rows["loss"] + 0.05)
    for one, two in ((lora, lora), (own[own["method"] == "full"], pieces)):
        assert summary(pd.concat([one, two.assign(seed=2)]))["gain_low"].notna().all()


@pytest.mark.slow
def test_any_number_of_baselines_and_methods_is_drawn(tmp_path: Path) -> None:
    one = recorded().query("edit == 'verbatim' and rank == 4 and seed == 1 and steps == 1")[:1]
    runs = pd.concat(
        [one.assign(baseline=f"b{k}") for k in range(9)]
        + [one.assign(rank=k, method=f"rank {k}") for k in range(9)]
    )
    saved = laws_figure(runs, summary(runs), [], OPTIONS, tmp_path)
    assert (tmp_path / f"{saved.name}.png").exists()


@pytest.mark.parametrize("less", [0.0, 2.0, 9.0])  # all is gain, some of it, nothing
def test_what_is_lost_is_in_the_picture_too(
    less: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr(figures, "save", lambda figure, *_, **__: drawn.append(figure))
    runs = recorded().query("edit == 'verbatim' and seed == 1")
    runs = runs.assign(gain=runs["gain"] - less)
    laws_figure(runs, summary(runs), [], OPTIONS, tmp_path)
    for k in (0, 2, 3):
        low, high = drawn[0].axes[k].get_ylim()
        assert low < runs["gain"].min()
        assert runs["gain"].max() < high < runs["gain"].max() + 4


def test_names_are_short_where_they_stay_different() -> None:
    own = "a-baselines-d_model=64"
    short = {f"{own}-0a1b2c3d": "d_model=64", "small-0a1b2c3d, seed 1": "small, seed 1"}
    assert baseline_names(short) == short
    whole = ["my-baseline", f"{own}-0a1b2c3d", f"{own}-1a2b3c4d"]  # eight letters; other seeds
    assert baseline_names(whole) == {label: label for label in whole}


def test_a_front_is_of_one_baseline_and_of_means_over_seeds() -> None:
    table = summary(recorded())
    assert len(table) == 2 * 3 * 3 * 4
    assert set(table["seeds"]) == {3}
    for _, own in table.groupby("baseline"):
        on = own[own["on_front"]].sort_values("forgetting")
        assert len(on) >= 4
        assert (on["gain"].diff().dropna() > 0).all()
        for _, row in own[~own["on_front"]].iterrows():
            better = (own["gain"] >= row["gain"]) & (own["forgetting"] <= row["forgetting"])
            assert better.sum() > 1  # itself and what beats it
    table = table[(table["method"] != "full") | (table["edit"] != "verbatim")]  # as one seed
    assert (table["gain_low"] < table["gain"]).all()
    assert (table["gain"] < table["gain_high"]).all()


@dataclass
class Store:
    """A store whose adaptations are recorded as the command records them; none is made."""

    client: MlflowClient
    experiment: str
    wanted: list[dict[str, Any]] = field(default_factory=list)

    def put(self, rows: pd.DataFrame, status: str = "FINISHED", **fields: Any) -> None:
        """A run of each row, wanted by the sweep; `fields` are of its config."""
        for row in rows.to_dict("records"):
            rank = row["rank"]
            label = str(row["baseline"])
            given = {
                "seed": row["seed"],
                "baseline": Baseline(label=label, place="", fingerprint=f"of {label}"),
                "edit": Edit(kind=row["edit"]),
                "method": Full() if rank != rank else Lora(rank=int(rank)),
                "inner_steps": row["steps"],
            } | fields
            self._record(AdaptConfig(**given).plain(), row, status)

    def _record(self, config: AdaptConfig, row: dict[Any, Any], status: str) -> None:
        labels = {"baseline": config.baseline.label, "edit": config.edit.label}
        key = {"identity": config.identity, "seed": config.seed}
        self.wanted.append({**key, "labels": labels})
        params = flatten(config.model_dump(mode="json", exclude={"tracking"})) | {
            "parameters.total": int(row["parameters"]), "edit.label": config.edit.label,
            "baseline_tokenizer": row.get("tokenizer", "one"),
        }  # fmt: skip
        metrics = {
            "tokens": row["tokens"], "continuation_after": row["loss"],
            "continuation_before": row["before"], "general_before": 2.0,
            **{k: row[k] for k in ("gain", "forgetting", "reward", "tokens_tried",
                                   "wall_seconds", "writing_seconds")},
            "accuracy_before": 0.25, "accuracy_after": 0.5,
        }  # fmt: skip
        tags = {"kind": "adaptation", "sweep": "other", **key}
        if row["gain"] != row["gain"]:
            tags["diverged"] = "true"
        self.run(
            tags,
            status,
            params=[Param(k, str(v)) for k, v in params.items() if v is not None],
            metrics=[Metric(f"final/{k}", float(v), 0, 0) for k, v in metrics.items() if v == v],
        )

    def sweep(self, name: str = "a") -> None:
        """The record of a sweep that wants all of them."""
        run = self.run({"kind": "sweep", "sweep": name}, "FINISHED")
        told = {"grows": False, "runs": self.wanted}
        self.client.log_text(run, json.dumps(told), "wanted.json")

    def run(self, tags: dict[str, Any], status: str, **logged: Any) -> str:
        """One run; its id."""
        run: str = self.client.create_run(self.experiment, run_name="a").info.run_id
        marks = [RunTag(f"tinyscale.{key}", str(value)) for key, value in tags.items()]
        self.client.log_batch(run, tags=marks, **logged)
        self.client.set_terminated(run, status)
        return run


@pytest.fixture
def store(workplace: Path) -> Store:
    """A store without runs."""
    mlflow = client(tracking_uri())
    return Store(mlflow, experiment_id(mlflow, "tinyscale"))


VERBATIM = recorded().query("edit == 'verbatim' and seed < 3 and rank == 4 and steps < 10")


def test_a_sweep_has_what_it_wants_whoever_made_it(store: Store) -> None:
    store.put(VERBATIM)
    store.sweep()
    store.put(VERBATIM.assign(seed=VERBATIM["seed"] + 2))
    store.sweep("more")  # found half of it made already
    store.wanted.clear()
    store.put(VERBATIM.assign(gain=9.0), method=Lora(rank=4, lr=0.5))
    store.sweep()  # its file was changed, and it was run again under its name
    for name, count, anew in (("more", 16, False), ("a", 8, True)):
        table = adaptations(Selection(sweep=name))
        assert table is not None
        assert len(table.runs) == count
        assert set(table.runs["gain"] == 9.0) == {anew}
        assert set(table.runs["method"]) == {"rank 4"}
    assert adaptations(Selection(sweep="nobody")) is None


def test_losses_of_several_tokenizers_are_not_averaged(store: Store) -> None:
    rows = recorded().query("edit != 'continuation' and rank == 4 and steps < 3")
    small = rows["baseline"] == "small-0a1b2c3d"
    store.put(rows.assign(tokenizer=small.map({True: "characters", False: "words"})))
    table = adaptations(Selection(experiment="tinyscale"))
    assert table is not None
    (tests,) = self_edits(table.runs).values()
    assert [one.group for one in tests] == [
        "restatement of small-0a1b2c3d",
        "restatement of large-1a2b3c4d",
    ]
    assert [one.pairs for one in tests] == [3, 3]


def test_a_sweep_calls_its_baselines_as_it_does(store: Store) -> None:
    store.put(VERBATIM)
    for row in store.wanted:
        row["labels"] = row["labels"] | {"baseline": "mine"}
    store.wanted = store.wanted[:4]
    store.sweep()
    table = adaptations(Selection(sweep="a"))
    assert table is not None
    assert set(table.runs["baseline"]) == {"mine"}


def test_of_one_name_what_differs_is_told_and_never_pooled(store: Store) -> None:
    small = VERBATIM[VERBATIM["baseline"] == "small-0a1b2c3d"]
    store.put(small)
    store.put(small, method=Lora(rank=4, lr=0.5))
    store.put(small, tasks=StoriesTasks(documents=8, seed=1))
    other = Baseline(label="small-0a1b2c3d", place="", fingerprint="another")
    store.put(small, baseline=other)
    renamed = Baseline(label="renamed", place="", fingerprint="another")
    store.put(small.assign(seed=small["seed"] + 2), baseline=renamed)
    table = adaptations(Selection(experiment="tinyscale"))
    assert table is not None
    runs = table.runs
    points = runs.groupby(["baseline", "method", "edit", "steps"])["identity"]
    assert set(points.nunique()) == {1}
    assert len(points) == runs["identity"].nunique() == 8
    assert set(runs["method"]) == {"rank 4, lr 0.003", "rank 4, lr 0.5"}
    assert set(runs["edit"]) == {"verbatim"}
    assert set(runs["baseline"]) == {
        "small-0a1b2c3d, tasks.seed 0",
        "small-0a1b2c3d, tasks.seed 1",
        "renamed",
    }


def test_practice_passages_tell_edits_apart_only_where_rounds_train_on_them(
    store: Store,
) -> None:
    store.put(VERBATIM)
    store.put(VERBATIM[:1], tasks=FileTasks(file="a.jsonl", digest="ab"))
    rounds = Edit(kind="continuation", candidates=2, rounds=1)
    for practice in (2, 4):
        store.put(VERBATIM[:1], edit=rounds, tasks=StoriesTasks(practice=practice))
    table = adaptations(Selection(experiment="tinyscale"))
    assert table is not None
    trained = {f"{rounds.label}, tasks.practice {practice}" for practice in (2, 4)}
    assert set(table.runs["edit"]) == {"verbatim"} | trained


def test_a_store_of_adaptations_alone_is_analyzed(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where what was adapted is an export, no training is recorded beside."""
    store.put(VERBATIM[:2])
    monkeypatch.setattr(reporting, "_adaptations", lambda found, *_: {"runs": len(found.runs)})
    request = Request(selection=Selection(experiment="tinyscale"), out=tmp_path)
    assert reporting.analyze_store(request, print) == {"runs": 2}


def test_adaptations_are_left_out_by_a_rule(store: Store) -> None:
    store.put(VERBATIM)
    store.sweep()
    table = adaptations(Selection(sweep="a"))
    assert table is not None
    found = study_adaptations(table, OPTIONS, print, "D > 200 or seed == 2")
    assert set(found.runs["steps"]) == {1} and set(found.runs["seed"]) == {1}
    assert len(found.table.apart) == len(table.runs) - len(found.runs) == 6
    assert set(found.table.apart["why"]) == {"left out: D > 200 or seed == 2"}
    with pytest.raises(UserError, match="leaves no adaptation"):
        CliRunner().invoke(
            analyze, ["--sweep", "a", "--exclude", "tokens > 0"], catch_exceptions=False
        )


def test_what_is_of_trainings_alone_is_refused_for_adaptations(store: Store) -> None:
    store.put(VERBATIM[:2])
    for words in (
        "--unit nats",
        "--design grid",
        "--loss final/gain",
        "--d final/tokens",
        "--c flops",
        "--at D=5",
    ):
        said = f"{words.split()[0]} is for trainings, and experiment tinyscale has adaptations"
        with pytest.raises(UserError, match=said):
            CliRunner().invoke(
                analyze, ["--experiment", "tinyscale", *words.split()], catch_exceptions=False
            )


def test_what_diverged_is_apart(store: Store) -> None:
    store.put(VERBATIM[:3])
    store.put(VERBATIM[3:4].assign(gain=math.nan, loss=math.nan))
    store.sweep()
    table = adaptations(Selection(sweep="a"))
    assert table is not None
    assert len(table.runs) == 3
    assert list(table.apart["why"]) == ["diverged"]


def test_without_a_finished_adaptation_a_sweep_says_why(store: Store) -> None:
    store.put(VERBATIM[:3], status="FAILED")
    store.sweep()
    with pytest.raises(UserError, match=r"among sweep a in .*: 3 failed"):
        adaptations(Selection(sweep="a"))


@pytest.mark.slow
def test_analyze_reports_a_sweep_of_adaptations(store: Store) -> None:
    some = recorded().query("edit != 'continuation' and seed < 3 and method != 'rank 8'")
    store.put(some)
    store.put(some[:1].assign(seed=9), status="FAILED")
    store.sweep()
    table = adaptations(Selection(sweep="a"))
    assert table is not None
    assert (len(table.runs), len(table.apart)) == (64, 1)
    words = ["--sweep", "a", "--bootstrap", "50", "--out", "report"]
    done = CliRunner().invoke(analyze, words, catch_exceptions=False)
    assert done.exit_code == 0
    assert "64 adaptations" in done.output
    for name in ("adaptation_laws.png", "pareto_forgetting.png"):
        assert (Path("report/figures") / name).stat().st_size > 10_000
    points = pd.read_csv("report/summary.csv")
    assert len(points) == 32
    assert {"gain", "gain_low", "forgetting", "on_front"} <= set(points)
    found = json.loads(Path("report/fits.json").read_text())["adaptation"]
    assert found["adaptations"] == 64
    assert {law["outcome"] for law in found["laws"]} == {"loss", "forgetting"}
    text = Path("report/report.md").read_text()
    assert "Does self-editing beat verbatim at equal tokens?" in text
    assert "questions answered right go from 25% to 50%" in text
