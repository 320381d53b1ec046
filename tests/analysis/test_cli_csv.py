"""``tinyscale analyze --csv``: right answers in fits.json, and one sentence a mistake."""

import csv
import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from analysis.cli import FORMS, _folder, analyze
from analysis.doubts import doubts, mixed
from analysis.fits import points
from analysis.fits.catalog import APPROACHES
from analysis.fits.exclusion import excluded
from analysis.fits.table import read_csv
from analysis.runs import Selection
from scaling.errors import UserError

FAST = ("--starts", "80", "--bootstrap", "60")
COLUMNS = ("--n", "params (M)", "--d", "tokens", "--loss", "val/loss")


@pytest.fixture
def table() -> pd.DataFrame:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 7), np.geomspace(1e8, 1e11, 7)))
    loss = 1.69 + 406.4 * n**-0.34 + 410.7 * d**-0.28
    loss *= np.exp(0.003 * np.random.default_rng(0).standard_normal(n.size))
    return pd.DataFrame(
        {"params (M)": n / 1e6, "tokens": d, "val/loss": loss, "flops": 6.2 * n * d, "run": n}
    )


def save(frame: pd.DataFrame, folder: Path, name: str = "points.csv") -> str:
    path = folder / name
    frame.to_csv(path, index=False)
    return str(path)


def answer(*args: str) -> dict[str, Any]:
    result = CliRunner().invoke(analyze, [*args, *FAST, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.output)
    return found


def mistake(*args: str) -> str:
    with pytest.raises(UserError) as raised:
        CliRunner().invoke(analyze, [*args, *FAST], catch_exceptions=False)
    sentence = str(raised.value)
    assert "\n" not in sentence
    return sentence


def test_fits_json_has_every_fit_with_its_settings(table: pd.DataFrame, tmp_path: Path) -> None:
    table.loc[3, "val/loss"] = np.nan  # a run that diverged
    out = tmp_path / "new" / "folder"
    args = ["--csv", save(table, tmp_path), *COLUMNS, *FAST, "--seed", "7", "--out", str(out)]
    result = CliRunner().invoke(analyze, args, catch_exceptions=False)
    assert result.exit_code == 0
    assert "alpha" in result.output
    assert "dropped: 1 rows, no val/loss" in result.output
    fits = json.loads((out / "fits.json").read_text())["fits"]
    assert [one["approach"] for one in fits] == ["huber", "variable_projection"]
    for one in fits:
        assert one["form"] == "chinchilla"
        assert one["status"] == "converged"
        assert one["n_points"] == 48
        assert set(one["params"]) == {"E", "A", "B", "alpha", "beta"}
        assert all(len(ends) == 2 for ends in one["ci"].values())
        assert one["params"]["alpha"] == pytest.approx(0.34, abs=0.03)
        assert one["settings"]["dropped"] == {"no val/loss": 1}
        assert one["settings"]["seed"] == 7
        assert one["settings"]["starts"] == 80
        assert one["settings"]["bootstrap"] == 60
        assert 4 not in one["rows"]
    assert fits[0]["settings"]["delta"] == 1e-3


def test_exclusion_gives_the_fit_with_and_without(table: pd.DataFrame, tmp_path: Path) -> None:
    path = save(table, tmp_path)
    fits = answer("--csv", path, *COLUMNS, "--exclude", "loss >= 5 or tokens < 1e8")["fits"]
    left = int(((table["val/loss"] >= 5) | (table["tokens"] < 1e8)).sum())
    assert left > 0
    assert [one["n_points"] for one in fits] == [49, 49, 49 - left, 49 - left]
    assert [one["settings"]["exclude"] for one in fits[::2]] == [None, "loss >= 5 or tokens < 1e8"]
    assert fits[2]["settings"]["excluded_rows"] == left


def test_exclusion_reads_and_or_text_and_quoted_names() -> None:
    frame = pd.DataFrame({"loss": [1.0, 5.0, 6.0], "a > b": [1, 2, 3], "set": ["x", "y", "y"]})
    names = {"loss": "loss"}
    assert excluded(frame, "loss >= 5 and set == x", names).tolist() == [False] * 3
    assert excluded(frame, "loss >= 5 and set != 'x'", names).tolist() == [False, True, True]
    assert excluded(frame, "`a > b` > 2 or loss < 2", names).tolist() == [True, False, True]
    for rule, said in {
        "loss": "cannot be read",
        "loss > high": "not a number",
        "los > 3": "did you mean 'loss'",
    }.items():
        with pytest.raises(UserError, match=said):
            excluded(frame, rule, names)


def test_bad_rows_that_are_excluded_do_not_stop_the_fit(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    table.loc[5, "val/loss"] = 0.0
    path = save(table, tmp_path)
    assert "must be positive, but row 6 has 0" in mistake("--csv", path, *COLUMNS)
    fits = answer("--csv", path, *COLUMNS, "--exclude", "loss <= 0")["fits"]
    assert {one["n_points"] for one in fits} == {48}
    words = table["val/loss"].astype(object)
    words[5] = "OOM"
    path = save(table.assign(**{"val/loss": words}), tmp_path)
    assert "is not a number in row 6: 'OOM'" in mistake("--csv", path, *COLUMNS)
    fits = answer("--csv", path, *COLUMNS, "--exclude", "loss == OOM")["fits"]
    assert {one["n_points"] for one in fits} == {48}
    assert fits[-1]["settings"]["excluded_rows"] == 1
    assert not any("matches no row" in note for one in fits for note in one["notes"])


def test_flops_stand_in_for_tokens_or_beside_them(table: pd.DataFrame, tmp_path: Path) -> None:
    frame = table.assign(N=table["params (M)"] * 1e6)
    path = save(frame.assign(planned=6 * frame["N"] * frame["tokens"]), tmp_path)
    base = ("--csv", path, "--n", "N", "--loss", "val/loss", "--approach", "huber")
    instead = answer(*base, "--c", "planned")["fits"][0]
    tokens = answer(*base, "--d", "tokens")["fits"][0]
    assert instead["params"]["beta"] == pytest.approx(tokens["params"]["beta"], rel=1e-6)
    assert "a_exact" not in instead["derived"]
    beside = answer(*base, "--d", "tokens", "--c", "flops", "--at", "C=1e20")["fits"][0]
    assert beside["settings"]["flops"] == "exact"
    assert beside["derived"]["a_exact"]["value"] == pytest.approx(beside["derived"]["a"]["value"])
    assert beside["derived"]["tokens_per_parameter"]["at"] == {"C": 1e20}
    for said, columns in {"C/6N": (), "given": ("--d", "tokens")}.items():
        curves = answer(*base[:6], "--c", "planned", *columns, "--form", "isoflop")["fits"]
        assert {one["settings"]["tokens"] for one in curves} == {said}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"--n": "param (M)"}, "no column 'param (M)'; did you mean 'params (M)'?"),
        ({"--loss": "zzz"}, "it has 'params (M)', 'tokens'"),
        ({"--d": "words"}, "column 'words' is not a number in row 2: 'many'"),
        ({"--d": "below"}, "column 'below' must be positive, but row 1 has -3"),
        ({"--d": "endless"}, "column 'endless' must be positive, but row 1 has inf"),
        ({"--d": "void"}, "no row has all of"),
        ({"--group": "runs"}, "did you mean 'run'?"),
        ({"--exclude": "loss > 0"}, "leaves no rows"),
        ({"--at": "C:1"}, "must be ROLE=VALUE"),
        ({"--at": "Z=1"}, "names 'Z', but the columns given are N, D"),
        ({"--at": "N=1e9"}, "--at N is half a place for chinchilla: it needs --at D too"),
        ({"--at": "C=1e20", "--form": "kaplan"}, "--at C asks what kaplan does not predict"),
        ({"--at": "C=1e20", "--form": "isoflop"}, "--at C asks what isoflop does not predict"),
        ({"--approach": "magic"}, "huber or variable_projection"),
        ({"--approach": "magic", "--form": "all"}, "all is fitted by huber or"),
        ({"--x": "run"}, "--x is for laws of one axis, and chinchilla is none"),
        ({"--x": "val/loss", "--form": "power_law"}, "'val/loss' is the column of the losses"),
        ({"--x": "N", "--form": "power_law"}, "--x 'N' would stand beside --n"),
        ({"--unique": "run"}, "--unique is for data_constrained, and not for chinchilla"),
        ({"--form": "data_constrained"}, "needs --unique"),
        ({"--csv": "nowhere.csv"}, "there is no file nowhere.csv"),
    ],
)
def test_a_mistake_is_one_sentence(
    table: pd.DataFrame, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    table["words"] = "5"
    table.loc[1, "words"] = "many"
    table["below"], table["endless"], table["void"] = -3.0, np.inf, np.nan
    options = {
        "--csv": save(table, tmp_path),
        **dict(zip(COLUMNS[::2], COLUMNS[1::2], strict=True)),
    }
    arguments = [text for pair in (options | change).items() for text in pair]
    assert said in mistake(*arguments)


def test_tables_that_are_none_are_said(table: pd.DataFrame, tmp_path: Path) -> None:
    few = save(table.head(4), tmp_path, "few.csv")
    assert "5 parameters and needs at least 6 rows; few.csv has 4" in mistake(
        "--csv", few, *COLUMNS
    )
    (tmp_path / "empty.csv").write_text("")
    assert "is empty" in mistake("--csv", str(tmp_path / "empty.csv"), *COLUMNS)
    header = save(table.head(0), tmp_path, "header.csv")
    assert "a header and no rows" in mistake("--csv", header, *COLUMNS)
    for row in ("1e6,2e7,3,5", "1e6,2e7,3.5,"):  # a decimal comma, a comma at the end
        (tmp_path / "wide.csv").write_text("params (M),tokens,val/loss\n" + f"{row}\n" * 9)
        said = mistake("--csv", str(tmp_path / "wide.csv"), *COLUMNS)
        assert "more cells in a row than names in its header" in said
    (tmp_path / "taken").write_text("")
    path = save(table, tmp_path)
    assert "cannot be written" in mistake(
        "--csv", path, *COLUMNS, "--out", str(tmp_path / "taken" / "x")
    )


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("b.csv", ";"), ("c.tsv", "\t")])
def test_cells_are_divided_as_the_header_is(tmp_path: Path, name: str, separator: str) -> None:
    rows = [["N; all", "loss, nats", "set"], ["1e6", "3.5", "a;b"], ["2e6", "3,1", "a"]]
    with (tmp_path / name).open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows(rows)
    found = read_csv(tmp_path / name)
    assert found.columns.tolist() == rows[0]
    assert found["loss, nats"].tolist() == ["3.5", "3,1"]
    assert found["set"].tolist() == ["a;b", "a"]


def test_what_cannot_be_read_or_written_is_said_before_the_fits(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(table, tmp_path)
    (tmp_path / "taken").write_text("")
    with monkeypatch.context() as patch:
        patch.setattr("analysis.cli_csv.analyze_csv", lambda _: pytest.fail("it was fitted"))
        said = mistake("--csv", path, *COLUMNS, "--out", str(tmp_path / "taken"))
    assert "taken cannot be written" in said

    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(pd, "read_csv", forbidden)
    assert f"{path} cannot be read: Permission denied" in mistake("--csv", path, *COLUMNS)


def test_degenerate_columns_give_a_status_and_no_number(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    table["params (M)"] = 7.0
    found = answer("--csv", save(table, tmp_path), *COLUMNS)["fits"][0]
    assert found["status"] == "not_identified"
    assert "'params (M)' has 1 distinct value" in found["message"]
    assert set(found["params"].values()) == {None}


def test_a_table_that_is_nearly_flat_is_told_as_that(table: pd.DataFrame, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal(len(table))
    table["val/loss"] = 2.0 + 1e-4 * noise - 1e-3 * np.log(table["tokens"] * table["params (M)"])
    found = answer(
        "--csv",
        save(table, tmp_path),
        *COLUMNS,
        "--form",
        "all",
        "--starts",
        "4",
        "--bootstrap",
        "0",
    )
    for one in found["fits"]:
        told = set(one["params"].values()) != {None}
        assert told is (one["status"] == "converged"), one
        assert not told or None not in one["params"].values()


def test_few_resamples_are_refused() -> None:
    done = CliRunner().invoke(analyze, ["--bootstrap", "10"])
    assert done.exit_code == 2
    assert "10 gives no intervals: give 20 or more, or 0 for none." in done.output


def test_default_folders_are_of_what_was_selected() -> None:
    def folder(*runs: str, by: tuple[str, ...] = (), **more: Any) -> str:
        return _folder("comparison", Selection(runs=runs, **more), by).name

    assert folder(sweep="w") == "comparison-w"
    assert folder("a", "b") == "comparison-a-b"
    assert folder(sweep="w", by=("model.d_model",)) == "comparison-w-by-model.d_model"
    others = [folder(*"abcd"), folder(*"abce"), folder(*"abc"), folder(sweep="w", filter="x = 1")]
    assert len({*others, folder(sweep="w"), folder(experiment="e", sweep="w")}) == 6


def test_a_prediction_is_where_it_was_asked_for(table: pd.DataFrame, tmp_path: Path) -> None:
    columns = (*COLUMNS, "--approach", "variable_projection", "--bootstrap", "0")
    said = []
    for name, rows in (("a.csv", table), ("b.csv", table[::-1])):
        args = ["--csv", save(rows, tmp_path, name), *columns, "--at", "C=1e24"]
        said.append(CliRunner().invoke(analyze, args, catch_exceptions=False).output)
        (found,) = json.loads(CliRunner().invoke(analyze, [*args, "--json"]).output)["fits"]
        derived, at = found["derived"], {"C": 1e24}
        n, d = derived["N_opt"]["value"], derived["D_opt"]["value"]
        law = found["params"]
        best = law["E"] + law["A"] * n ** -law["alpha"] + law["B"] * d ** -law["beta"]
        assert derived["predicted_loss"]["value"] == pytest.approx(best)
        assert derived["predicted_loss"]["at"] == at
        far = 1e24 / (6 * table["params (M)"] * table["tokens"]).max()
        assert derived["predicted_loss"]["outside"]["C"] == pytest.approx(far)
        assert f"at C = 1e+24 (extrapolated: C {far:.3g} times that of the largest" in said[-1]
    inside = ("--n", "params (M)", "--at", "N=100", "--at", "D=1e9")
    found = answer("--csv", save(table, tmp_path), *columns, *inside)["fits"][0]["derived"]
    assert found["predicted_loss"]["at"] == {"N": 100, "D": 1e9}
    assert found["predicted_loss"]["outside"] == {}
    unasked = answer("--csv", save(table, tmp_path), *columns)["fits"][0]["derived"]
    assert "predicted_loss" not in unasked


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ({}, []),
        ({"N": 1e-6}, ["'N' is 0.3 at most", "C is 1.5e+06 times 6ND"]),
        ({"D": 1e-6, "C": 1e-6}, ["'D' is 4 at most", "'C' is 1.08e+07 at most"]),
        ({"D": 1e3}, ["C is 0.0015 times 6ND by the median: are all three in ones?"]),
    ],
)
def test_columns_in_other_units_are_doubted(unit: dict[str, float], said: list[str]) -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(5e4, 3e5, 5), np.geomspace(1e6, 4e6, 5)))
    axes = {"N": n, "D": d, "C": 9 * n * d}  # small models of ours
    scaled = {role: values * unit.get(role, 1.0) for role, values in axes.items()}
    found = doubts(points(n**-0.1, **scaled), list(axes), apart=True)
    assert len(found) == len(said)
    assert all(part in note for part, note in zip(said, found, strict=True))
    derived = doubts(points(n**-0.1, **scaled), ["loss", "N"], apart=True)
    assert derived == [note for note in found if "'N'" in note]


def test_laws_of_one_axis_say_what_else_varies() -> None:
    n, c = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e8, 5), np.geomspace(1e17, 1e19, 3)))
    isoflop = points(n**-0.1, N=n, D=c / (6 * n), C=c)
    assert ["the rows also differ in 'D', of" in note for note in mixed(isoflop, "N")] == [True]
    assert ["differ in 'N' and 'D', of" in note for note in mixed(isoflop, "C")] == [True]
    n = np.geomspace(1e6, 1e8, 5)
    for tokens in (20 * n, np.full(5, 1e9)):
        width = np.sqrt(n / 48)
        data = points(n**-0.1, N=n, D=tokens, C=6 * n * tokens, width=width)
        assert not any(mixed(data, axis) for axis in ("N", "C", "width"))
    shapes = points(n**-0.1, width=np.sqrt(n), depth=np.array([2.0, 8, 2, 8, 4]))
    for axis, other in (("width", "depth"), ("depth", "width")):
        (note,) = mixed(shapes, axis)
        assert f"the rows also differ in '{other}', of which this law knows nothing" in note


def test_copies_of_rows_are_doubted_and_units_said(table: pd.DataFrame, tmp_path: Path) -> None:
    path = save(pd.concat([table, table.head(3)]), tmp_path)
    quick = (*COLUMNS, "--approach", "variable_projection")
    notes = answer("--csv", path, *quick)["fits"][0]["notes"]
    assert "column 'params (M)' is 1e+03 at most" in notes[-2]
    assert "3 rows repeat another in loss and every axis" in notes[-1]
    grouped = answer("--csv", path, *quick, "--group", "run")["fits"][0]["notes"]
    assert not any("repeat" in note for note in grouped)


@pytest.mark.slow
def test_all_forms_that_apply_are_compared(table: pd.DataFrame, tmp_path: Path) -> None:
    few = ("--starts", "20", "--bootstrap", "20")
    args = ["--csv", save(table, tmp_path), *COLUMNS, *few, "--form", "all"]
    result = CliRunner().invoke(analyze, [*args, "--out", str(tmp_path)], catch_exceptions=False)
    assert "rivals on the same points" in result.output
    found = json.loads((tmp_path / "fits.json").read_text())
    assert {one["form"] for one in found["fits"]} == set(APPROACHES) - {"data_constrained"}
    assert found["comparison"][0]["form"] == "chinchilla"
    by = {(one["form"], *one["axes"]): one["held_out_by"] for one in found["comparison"]}
    assert by["chinchilla", "N", "D"] == "C"
    assert by["power_law", "N"] == "N"
    (line,) = re.findall("  power_law of D  .*", result.output)
    assert line.endswith("% on the largest D")
    laws = [one for one in found["fits"] if one["form"] == "power_law"]
    assert [one["settings"]["axes"] for one in laws] == [["N"], ["D"]]
    assert "the rows also differ in 'tokens'" in " ".join(laws[0]["notes"])


def test_a_law_of_any_column(table: pd.DataFrame, tmp_path: Path) -> None:
    width = np.arange(1, 9) * 32.0
    frame = pd.DataFrame({"width": width, "loss": 2 + 9 * width**-0.7})
    found = answer(
        "--csv", save(frame, tmp_path), "--loss", "loss", "--x", "width", "--form", "power_law",
        "--at", "width=512",
    )["fits"][0]  # fmt: skip
    assert found["params"] == pytest.approx({"E": 2, "A": 9, "alpha": 0.7}, rel=1e-6)
    assert found["derived"]["predicted_loss"]["value"] == pytest.approx(2 + 9 * 512**-0.7)


def test_trajectories_are_groups(table: pd.DataFrame, tmp_path: Path) -> None:
    found = answer("--csv", save(table, tmp_path), *COLUMNS, "--group", "run")["fits"][0]
    assert found["bootstrap"]["groups"] == 7
    assert found["settings"]["group"] == "run"


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from analysis.cli import analyze;"
        "analyze(['--help'], standalone_mode=False);"
        "heavy = {'numpy', 'scipy', 'pandas', 'torch', 'mlflow'} & set(sys.modules);"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(FORMS) - {"all"} == set(APPROACHES)
