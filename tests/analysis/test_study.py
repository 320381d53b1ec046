"""`tinyscale analyze` over a store: the design found, the law recovered, the report whole."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure

from analysis.cli import analyze, compare
from analysis.design import design_of, frontier, series, slices
from analysis.figures import law
from analysis.figures.isoflop import basins_figure
from analysis.figures.style import Saved, panels, save
from analysis.fits import FitOptions
from analysis.floor import held
from analysis.laws import questions
from analysis.rates import tuned
from analysis.report.document import (
    Bullets,
    Document,
    Picture,
    Section,
    Text,
    between,
    figure,
)
from analysis.report.study import (
    _floor_section,
    _laws_table,
    _rates_section,
    _short,
    _sizes_sections,
    _what,
)
from analysis.report.writing import log_report, prepare, write_report
from analysis.reporting import _laws
from analysis.runs import Selection, read_runs
from analysis.show import show_store
from analysis.study import Request, Study, study
from analysis.units import choose, in_unit
from scaling.errors import UserError
from tests.analysis.recorded import LAW, Recorder

FAST = ("--starts", "40", "--bootstrap", "60")


def table(recorder: Recorder) -> pd.DataFrame:
    return read_runs(Selection(store=recorder.uri, experiment=recorder.experiment)).runs


def run(*words: str) -> dict[str, Any]:
    result = CliRunner().invoke(analyze, [*words, *FAST, "--json"], catch_exceptions=False)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(scope="module")
def quick(studied: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A study without resamples, asked to predict at one size and one compute."""
    selection = Selection(store=studied.uri, experiment=studied.experiment)
    at = {"N": 1e6, "C": 1e15}
    options = FitOptions(starts=20, bootstrap=0, holdout=0, at=at)
    request = Request(selection, tmp_path_factory.mktemp("quick"), options=options)
    return study(request, lambda _: None)


def test_a_grid_is_found(studied: Recorder) -> None:
    design = design_of(table(studied))
    assert design.dimensions == ("width", "D")
    assert design.kind == "grid"
    assert design.nuisances == design.variants == ()


@pytest.mark.slow
def test_branches_are_points_that_are_resampled_with_their_stem(workplace: Path) -> None:
    recorder = Recorder(workplace)
    wsd = ("--schedule.kind", "wsd", "--schedule.warmup", "5")
    for width in (16, 32, 64, 128):
        for seed in (1, 2):
            flags = (*wsd, "--schedule.branches", "[0.5]")
            stem = recorder.record(width=width, seed=seed, tokens=400_000, flags=flags)
            of = {"tinyscale.branch_of": stem.read_record().id}
            recorder.record(width=width, seed=seed, tokens=200_000, flags=wsd, tags=of)
    selection = Selection(store=recorder.uri, experiment=recorder.experiment)
    options = FitOptions(starts=20, bootstrap=20)
    found = study(Request(selection, workplace / "out", options=options), lambda _: None)
    assert found.design.dimensions == ("width", "D")
    assert found.design.variants == ()
    points = {len(one.points): one.points.groups()[1] for one in found.questions}
    assert points[16] == 8  # both axes together: as many groups as stems
    assert points[8] == 8  # of one token count: each run its own


def test_nuisances_are_tuned_and_variants_are_series(variants: Recorder) -> None:
    runs = table(variants)
    design = design_of(runs)
    assert design.dimensions == ("width",)
    assert design.nuisances == ("optimizer.lr",)
    assert design.variants == ("model.attention.kind",)
    assert design.kind == "equal tokens"
    parts = dict(series(runs, design))
    assert set(parts) == {"attention mha", "attention mqa"}
    best = tuned(parts["attention mha"], design)
    assert set(best["lr"]) == {3e-3}
    assert len(best) == 9


def test_tokens_that_follow_the_size_go_along_with_it() -> None:
    ray = pd.DataFrame({"N": [1, 2, 4], "width": [1, 2, 4], "D": [20, 40, 80], "loss": [3, 2, 1]})
    ray = ray.assign(**{"model.d_model": ray["width"]}) * 1000
    design = design_of(ray)
    assert design.dimensions == ("width", "D")
    assert [held for held, _ in slices(ray, ["N"])] == [{}]


def test_each_token_count_of_an_isoflop_design_is_no_law_of_tokens() -> None:
    rows = [(n, c / n) for c in (1e6, 4e6, 16e6) for n in (100, 210, 440, 900)]
    runs = pd.DataFrame(rows, columns=["N", "D"]).assign(C=lambda f: 6 * f["N"] * f["D"], loss=2)
    runs = runs.assign(width=runs["N"], **{"model.d_model": runs["N"]})
    design = design_of(runs)
    assert design.kind == "isoflop"
    assert all(part["N"].nunique() == 1 for _, part in slices(runs, ["D"]))


def test_the_frontier_keeps_what_nothing_cheaper_undercuts() -> None:
    runs = pd.DataFrame(
        {"group": list("abcd"), "C": [1.0, 2.0, 3.0, 4.0], "loss": [4.0, 5.0, 3.0, 3.5]}
    )
    assert list(frontier(runs)["group"]) == ["a", "c"]


def test_losses_across_tokenizers_are_in_bits_per_byte(studied: Recorder) -> None:
    runs = table(studied)
    assert choose(runs).key == "nats"
    mixed = runs.assign(vocab_size=[512, 1024] * 15)
    assert choose(mixed).key == "bpb"
    assert (in_unit(mixed, choose(mixed))["loss"] == runs["bpb"]).all()
    with pytest.raises(UserError, match="different tokenizers"):
        choose(mixed, "nats")


def test_analyze_recovers_the_law_and_leaves_a_whole_report(
    studied: Recorder, workplace: Path
) -> None:
    found = run("--store", studied.uri, "--experiment", "study", "--out", "out")
    fits = json.loads((workplace / "out" / "fits.json").read_text())["fits"]
    joint = {
        one["approach"]: one
        for one in fits
        if one["question"] == "joint-n" and one["form"] == "chinchilla"
    }
    for one in joint.values():
        assert one["status"] == "converged"
        low, high = one["ci"]["E"]
        assert low < LAW["E"] < high
        assert one["params"]["alpha"] == pytest.approx(LAW["alpha"], abs=0.05)
        assert one["unit"] == "nats per token"
        assert {card["rule"] for card in one["evidence"]} >= {"seeds", "held_out", "schedule"}
        assert "learning_rate" in one["may_claim"]  # one rate only was run
    held_by = {one["law"]: one for one in found["floor_held"]}
    assert held_by["Loss against parameters and tokens, chinchilla (huber)"]["agrees"]
    axes = {one["axis"] for one in fits}
    assert axes == {"N", "N_non_embedding", "width", "D", "C", "joint"}
    assert found["runs"] == 30
    assert sum(found["runs_apart"].values()) == 6

    page = (workplace / "out" / "report.html").read_text()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)  # nothing from elsewhere
    assert page.count("data:image/svg+xml;base64,") == len(
        list((workplace / "out/figures").glob("*.svg"))
    )
    assert "Runs apart" in page and "diverged at step" in page
    names = {path.stem for path in (workplace / "out/figures").iterdir()}
    for name in names:
        for ending in ("png", "svg", "csv"):
            assert (workplace / "out/figures" / f"{name}.{ending}").stat().st_size > 50
    for name in ("joint-joint-n", "contours-joint-n", "law-n", "conventions"):  # dots and lines
        data = pd.read_csv(workplace / "out/figures" / f"{name}.csv")
        assert {"run", "law"} <= set(data["row"]), name
    law = pd.read_csv(workplace / "out/figures/law-n.csv")
    assert law["residual_percent"].notna().sum() == (law["row"] == "run").sum()
    text = (workplace / "out" / "report.md").read_text()
    assert set(re.findall(r"\(figures/(.+?)\.png\)", text)) == names
    bare = next(one for one in fits if one["question"] == "joint-n-non-embedding")["derived"]
    assert bare["a_exact"]["value"] != pytest.approx(bare["a"]["value"], abs=0.01)
    row = re.search(r"^\| chinchilla \(huber\) \| parameters without embeddings \|.*", text, re.M)
    assert row is not None
    assert between(bare["a_exact"]["value"], bare["a_exact"]["ci"]) in row[0]
    assert between(bare["b_exact"]["value"], bare["b_exact"]["ci"]) in row[0]
    assert "Laws of 30 runs; brackets hold 95% intervals." in text
    assert "by each approach; C is the exact training FLOPs." in text
    assert "way of counting; C is the exact training FLOPs." in text
    assert len(pd.read_csv(workplace / "out" / "runs.csv")) == 30

    logged = studied.store.get_run(found["mlflow_run_id"])
    assert logged.info.status == "FINISHED"
    assert logged.data.tags["tinyscale.kind"] == "analysis"
    artifacts = {one.path for one in studied.store.list_artifacts(logged.info.run_id)}
    assert {"report.html", "report.md", "fits.json", "runs.csv", "figures"} <= artifacts
    assert len(table(studied)) == 30  # the analysis is not one of the runs


@pytest.mark.slow
def test_rates_are_shown_of_every_size_at_its_own_budget(workplace: Path) -> None:
    recorder = Recorder(workplace)
    tried = {(16, 102_400): 3, (32, 204_800): 3, (32, 409_600): 1, (64, 819_200): 2}
    for (width, tokens), rates in tried.items():
        for lr in (1e-3, 3e-3, 1e-2)[:rates]:
            recorder.record(width=width, tokens=tokens, lr=lr, points=2)
    selection = Selection(store=recorder.uri, experiment=recorder.experiment)
    request = Request(selection, workplace, options=FitOptions(starts=20, bootstrap=0, holdout=0))
    (section,) = _rates_section(study(request, lambda _: None), workplace)
    said, picture = section.blocks
    assert isinstance(said, Text)
    assert isinstance(picture, Picture)
    assert said.text.startswith("Sizes shown: 2 of 3, each at the largest token count that has 3")
    assert said.text.endswith("the others have none.")
    basins = pd.read_csv(workplace / f"{picture.saved.name}.csv")
    assert set(basins["D"]) == {102_400, 204_800}
    assert len(basins) == 6
    assert "tokens" in picture.saved.caption


@pytest.mark.slow
def test_variants_have_laws_of_their_own(variants: Recorder, workplace: Path) -> None:
    selection = Selection(store=variants.uri, experiment="variants")
    options = FitOptions(starts=100, bootstrap=60)
    found = study(Request(selection, workplace, options=options), lambda _: None)
    assert {one.series for one in found.questions} == {"attention mha", "attention mqa"}
    law = next(one for one in found.questions if one.series == "attention mha").laws[0]
    rate = next(one for one in law.findings if one.rule == "learning_rate")
    assert rate.verdict == "pass"  # judged over the rates that were tried, not the chosen one
    assert law.fit.n_points == 9
    saved = basins_figure(found.runs, found.unit, workplace, "basins")
    basins = pd.read_csv(workplace / f"{saved.name}.csv")
    assert set(basins["lr"]) == {1e-3, 3e-3, 1e-2}
    assert basins["count"].sum() == len(found.runs)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--x", "N"], "--x goes with --csv"),
        (["--csv", "a.csv", "--loss", "l", "--sweep", "w"], "--sweep does not go with --csv"),
        (["--csv", "a.csv", "--n", "N"], "--loss is missing"),
        (["--exclude", "loss > 0"], "leaves no run"),
        (["--at", "n=1e9"], "--at names 'n', but the laws of these runs are of C, D, N, N_non"),
        (["--at", "batch_size=8"], "--at names 'batch_size', but the laws"),
        (["--at", "C=1e15", "--at", "C=1e16"], "--at names C twice"),
    ],
)
def test_options_that_do_not_go_together(studied: Recorder, words: list[str], said: str) -> None:
    store = [] if "--csv" in words else ["--store", studied.uri, "--experiment", "study"]
    with pytest.raises(UserError, match=said):
        CliRunner().invoke(analyze, [*store, *words], catch_exceptions=False)


def test_a_report_that_cannot_be_written_is_said_before_the_fits(
    studied: Recorder, workplace: Path
) -> None:
    Path("taken").write_text("")
    words = ["--store", studied.uri, "--experiment", "study", "--out", "taken"]
    for command, begun in ((analyze, "fitting"), (compare, "reading curves")):
        done = CliRunner().invoke(command, words)
        assert isinstance(done.exception, UserError)
        assert "taken cannot be written" in str(done.exception)
        assert begun not in done.output


def test_a_report_touches_and_logs_its_own_files_alone(studied: Recorder, workplace: Path) -> None:
    read = read_runs(Selection(store=studied.uri, experiment=studied.experiment))
    for foreign in ("notes.txt", "mine.csv", "figures/mine.png"):
        (workplace / foreign).parent.mkdir(exist_ok=True)
        (workplace / foreign).write_text("mine")

    said: list[str] = []

    def report(name: str, tables: dict[str, pd.DataFrame]) -> set[str]:
        saved = save(panels()[0], pd.DataFrame({"a": [1]}), prepare(workplace), name, "")
        document = Document(name, "", [Section("", [Picture(saved)])])
        write_report(document, workplace, {"fits.json": {}}, tables)
        logged = log_report(read, workplace, kind="analysis", metrics={}, say=said.append)
        assert logged is not None
        found = [f for at in ("", "figures") for f in studied.store.list_artifacts(logged, at)]
        return {one.path for one in found if not one.is_dir}

    pictures = {f"figures/one.{ending}" for ending in ("png", "svg", "csv")}
    pages = {"report.html", "report.md", "fits.json"}
    assert report("one", {"runs.csv": read.runs}) == {*pages, *pictures, "runs.csv"}
    assert report("two", {}) == {*pages, *(one.replace("one", "two") for one in pictures)}
    assert {path.stem for path in (workplace / "figures").iterdir()} == {"mine", "two"}
    assert (workplace / "mine.csv").exists() and not (workplace / "runs.csv").exists()


def test_options_do_what_they_say_of_runs_of_others(workplace: Path) -> None:
    recorder = Recorder(workplace)
    place = recorder.store.create_experiment("theirs")
    for c in (1e12, 1e13, 1e14):
        for n in np.geomspace(1e4, 1e5, 5) * (c / 1e13) ** 0.5:
            run = recorder.store.create_run(place, run_name=f"{c:g} {n:.0f}").info.run_id
            loss = 1.5 + 40 / n**0.4 + 778 / (c / 6 / n) ** 0.4
            for name, value in {"n": n, "d": c / 6 / n, "c": c}.items():
                if (c, name) != (1e12, "n") or n > 1.1e4 * 0.1**0.5:
                    recorder.store.log_param(run, name, value)
            recorder.store.log_metric(run, "val_loss", loss)
            recorder.store.set_terminated(run)

    def found(columns: dict[str, str], **more: Any) -> Study:
        selection = Selection(recorder.uri, "theirs", columns=columns)
        options = FitOptions(starts=20, bootstrap=0, holdout=0)
        return study(Request(selection, workplace / "out", options=options, **more), said.append)

    said: list[str] = []
    one = found({"N": "n", "D": "d"}, design="isoflop", exclude="loss > 100")
    assert list(one.apart["why"]) == ["without its number of parameters, which most others have"]
    assert len(one.runs) == 14
    assert {note.split(":")[0] for note in one.notes} == {
        "--exclude 'loss > 100' matches no run",
        "--design isoflop",
    }
    assert {*one.notes} <= {*said}
    laws = {question.axis: question.laws for question in one.questions}
    assert laws["isoflop"][0].fit.params["a"] == pytest.approx(0.5, abs=0.02)
    counts = [law.fit.starts["count"] for q in one.questions for law in q.laws if law.fit.starts]
    assert counts and max(counts) <= 20
    (conventions,) = (c for c in laws["joint"][0].findings if c.rule == "conventions")
    assert conventions.sentence.startswith("the table counts N of")
    other = found({"N": "n", "C": "c"})
    assert other.notes == ["--c without --d: the tokens are reckoned as D = C/6N"]
    assert "joint" in {question.axis for question in other.questions}


def test_what_is_asked_at_a_place_is_answered(quick: Study) -> None:
    said = show_store(_laws(quick))
    by_key = {question.key: question for question in quick.questions}
    sizes, sizes_and_tokens = by_key["n"], by_key["joint-n"].runs
    assert sizes.headline is not None
    value = sizes.headline.fit.derived["predicted_loss"].value
    assert f"    predicted loss {value:.5g} at N = 1e+06\n" in said
    table = _laws_table(sizes)
    assert table.columns[-1] == "predicted loss"
    far = 1e15 / sizes_and_tokens["C"].max()
    place = f"C = 1e+15 (extrapolated: C {far:.3g} times that of the largest run)"
    assert re.search(rf"    tokens per parameter \S+ at {re.escape(place)}\n", said)
    assert table.rows[0][-1] == f"{figure(value)} at N = 1e+06"
    assert _laws_table(by_key["d"]).columns[-1] == "held-out error"
    # Of laws of size and tokens a size alone is no place; the loss is that where C is best spent.
    joint = by_key["joint-n"].laws[0].fit.derived
    best = {role: joint[f"{role}_opt"].value for role in "ND"}
    law = by_key["joint-n"].laws[0]
    assert law.form is not None
    params = {name: np.asarray(one) for name, one in law.fit.values().items()}
    at_best = law.form.predict(params, {role: np.asarray(one) for role, one in best.items()})
    assert joint["predicted_loss"].value == pytest.approx(float(at_best))
    assert joint["predicted_loss"].at == {"C": 1e15}
    assert "predicted_loss" not in by_key["n-non-embedding"].laws[0].fit.derived


@pytest.mark.slow
def test_a_place_of_one_convention_is_not_one_of_another(studied: Recorder) -> None:
    runs = table(studied)
    options = FitOptions(starts=20, bootstrap=0, holdout=0, at={"N": 1e6, "D": 1e6})
    asked = questions("", runs, design_of(runs), options, lambda _: None)
    by_key = {one.key: one.laws[0].fit.derived for one in asked}
    assert by_key["joint-n"]["predicted_loss"].at == {"N": 1e6, "D": 1e6}
    assert "predicted_loss" not in by_key["joint-n-non-embedding"]
    bare = replace(options, at={"N_non_embedding": 1e6, "D": 1e6})
    asked = questions("", runs, design_of(runs), bare, lambda _: None)
    by_key = {one.key: one.laws[0].fit.derived for one in asked}
    assert by_key["joint-n-non-embedding"]["predicted_loss"].at == bare.at
    assert "predicted_loss" not in by_key["joint-n"]


@pytest.mark.parametrize(
    ("resamples", "band"),
    [(0, "no band without resamples"), (10, "too few resamples"), (60, "the fit's own interval")],
)
def test_the_caption_of_a_law_tells_of_the_band_that_is_drawn(
    quick: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resamples: int, band: str
) -> None:
    question = next(one for one in quick.questions if one.key == "n")
    figures: list[Figure] = []

    def keeping(figure: Figure, *rest: Any) -> Saved:
        figures.append(figure)
        return save(figure, *rest)

    monkeypatch.setattr(law, "save", keeping)
    options = replace(quick.options, bootstrap=resamples)
    saved = law.law_figure(question, quick.unit, quick.floor, options, tmp_path)
    assert band in saved.caption
    labels = figures[0].axes[0].get_legend_handles_labels()[1]
    assert ("E + A x^-α, 95% band" in labels) is (resamples == 60)
    assert ("low" in pd.read_csv(tmp_path / "law-n.csv")) is (resamples == 60)


def test_each_series_is_held_against_the_entropy_by_its_name(quick: Study) -> None:
    (one, *_) = quick.held
    assert one.joint
    names = ("attention mha", "attention mha", "attention mqa")
    both = [replace(one, series=name) for name in names]
    (bullets,) = _short(replace(quick, held=both))
    assert isinstance(bullets, Bullets)
    said = [line for line in bullets.items if "The fitted E is" in line]
    assert [line.split(":")[0] for line in said] == ["attention mha", "attention mqa"]
    (bullets,) = _short(quick)
    assert isinstance(bullets, Bullets) and one.sentence in bullets.items


def test_in_short_are_the_laws_of_size_and_tokens_or_whatever_there_is(quick: Study) -> None:
    (bullets,) = _short(quick)
    assert isinstance(bullets, Bullets)
    assert not any(line.startswith("Loss against width") for line in bullets.items)
    of_width = [one for one in quick.questions if one.axis == "width"]
    (bullets,) = _short(replace(quick, questions=of_width))
    assert isinstance(bullets, Bullets)
    assert bullets.items[0].startswith("Loss against width at")
    assert "L = E + A x^-α with E = " in bullets.items[0]


def test_runs_of_several_precisions_are_told(quick: Study) -> None:
    assert "precision" not in str(_what(quick)[0])
    runs = quick.runs.assign(precision=["bf16", *["fp32"] * (len(quick.runs) - 1)])
    said = f"of several precisions, {len(runs) - 1} in fp32 and 1 in bf16: compare with care."
    assert said in str(_what(replace(quick, runs=runs))[0])


@pytest.mark.parametrize("above", [False, True])
def test_an_e_above_the_runs_own_losses_is_told_as_no_floor(quick: Study, above: bool) -> None:
    question = next(one for one in quick.questions if one.axis == "joint")
    one, lowest = question.laws[0], float(question.runs["loss"].min())
    e = lowest + (0.01 if above else -0.01)
    fit = replace(one.fit, params=one.fit.params | {"E": e}, ci={"E": (e - 1e-3, e + 1e-3)})
    judged = held(question, replace(one, fit=fit), lowest / 2)
    assert judged is not None
    assert ("above the lowest loss of these runs" in judged.sentence) is above
    assert "windows of 64 tokens, most of which begin in mid-story" in judged.sentence
    assert ("read far beyond the runs" in judged.sentence) is not above


def test_an_interval_is_said_in_digits_that_hold_its_value() -> None:
    assert between(1.2346, (1.2341, 1.2349)) == "1.2346 [1.2341, 1.2349]"
    assert between(0.34964, (0.31206, 0.36481)) == "0.35 [0.312, 0.365]"
    assert between(2.0, None) == "2"
    assert between(1.5, (1.5, 1.5)) == "1.5 [1.5, 1.5]"


def test_each_variants_exponents_have_a_figure_of_their_own(quick: Study, tmp_path: Path) -> None:
    joint = [one for one in quick.questions if one.axis == "joint"]  # as an isoFLOP design has
    for name in ("attention mha", "attention mqa"):
        mine = [replace(one, key=f"{name[-3:]}-{one.key}") for one in joint]
        _sizes_sections(mine, quick, tmp_path, name)
    assert len(list(tmp_path.glob("exponents-*.csv"))) == 2


def test_why_no_law_has_an_e_to_hold_against_the_entropy(quick: Study, tmp_path: Path) -> None:
    without = replace(quick, held=[])
    of_width = [one for one in quick.questions if one.axis == "width"]
    for asked, why in (
        (quick.questions, "No law with an E converged, for the reasons"),
        (of_width, "What was fitted are laws of width, whose E is not the entropy, so nothing"),
        ([], "No law was fitted, so nothing"),
    ):
        (section,) = _floor_section(replace(without, questions=asked), tmp_path)
        (block,) = section.blocks
        assert isinstance(block, Text)
        assert f" nats per token. {why}" in block.text
    (bullets,) = _short(replace(without, questions=[]))
    assert "Nowhere does a dimension take 3 values or more while all else is equal" in str(bullets)
