"""`tinyscale models`: the list, the checks of a config, and muP's two pictures."""

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scaling.data.prepare import prepare
from scaling.inspection import pictures, transfer
from scaling.inspection.catalog import nominal_vocabulary, size_of
from scaling.inspection.verify import CHECKS, verify
from scaling.model import attend
from scaling.model.attention.scoring import Scoring
from scaling.recipes import load_config, recipe_names
from scaling.runtime import Runtime
from tests.variants import tiny_config

Call = Callable[..., subprocess.CompletedProcess[str]]
CPU = Runtime(torch.device("cpu"), torch.float32, compile=False)


def test_the_list_has_every_recipe_and_every_kind(tinyscale_here: Call) -> None:
    answer = json.loads(tinyscale_here("models", "--json").stdout)
    assert [size["name"] for size in answer["recipes"]] == recipe_names()
    (falcon,) = (size for size in answer["recipes"] if size["name"] == "falcon_moe")
    assert falcon["active"] < falcon["parameters"]
    assert {"mha", "mla", "differential"} <= set(answer["parts"]["attention"])
    assert {"adamw", "muon", "lion"} <= set(answer["parts"]["optimizer"])
    assert all(about.endswith(".") for part in answer["parts"].values() for about in part.values())


def test_a_size_is_what_the_model_has() -> None:
    size = size_of(load_config("baseline"))
    assert (size.parameters, size.flops_per_token) == (1_328_256, 9_535_488)
    assert nominal_vocabulary(load_config("gpt2_33m").data.tokenizer) == 50_257


def test_a_users_own_config_is_verified(tinyscale_here: Call, tiny_yaml: Path) -> None:
    done = tinyscale_here("models", "--verify", "tiny.yaml", "--model.attention.kind", "mla")
    assert done.returncode == 0
    assert done.stdout.count("holds") == len(CHECKS)
    done = tinyscale_here("models", "--verify", "tiny.yaml", "--model.n_heads", "3")
    assert done.returncode == 2
    assert "model.n_heads 3 does not divide" in done.stderr


@pytest.mark.parametrize(
    "flags",
    [
        "--data.context_length 64 --model.attention.kind sliding_window"
        " --model.attention.window 16",
        "--data.context_length 160 --model.attention.kind sliding_window"
        " --model.attention.window 48",
        "--data.context_length 128 --model.attention.kind gqa",
        "--data.context_length 2",
    ],
)
def test_a_right_model_passes_at_any_length_on_any_processor(
    flags: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attend, "NARROW", True)  # as with AVX2, where a kernel of ours is used
    assert [check for check in verify(tiny_config(flags)) if not check.holds] == []


def test_a_model_that_looks_ahead_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Scoring.forward

    def looks_ahead(self, q, k, v):  # type: ignore[no-untyped-def]
        return whole(self, q, k.roll(-1, 1), v.roll(-1, 1))

    monkeypatch.setattr(Scoring, "forward", looks_ahead)
    failed = {check.name for check in verify(tiny_config("")) if not check.holds}
    assert {"causality", "cache"} <= failed


def test_mup_keeps_activations_and_the_standard_way_does_not(corpus: Path, tmp_path: Path) -> None:
    flags = f"--data.corpus.kind files --data.corpus.files {corpus} --data.tokenizer.kind byte"
    config = tiny_config(flags + " --model.n_layers 1 --optimizer.lr 0.02")
    rows = transfer.coordinate_check(
        config, prepare(config.data), CPU, [16, 32, 64, 128, 256], steps=6, say=lambda _: None
    )
    powers = transfer.slopes(rows)
    for place in ("blocks.0.attention", "blocks.0.feedforward", "blocks.0"):
        assert powers["mup", place] < 0.5 < powers["standard", place] - 0.3, place
    assert abs(powers["mup", "embedding"]) < 0.1
    pictures.draw_coordinates(rows, tmp_path / "coordinates.png", "tiny")
    assert (tmp_path / "coordinates.png").stat().st_size > 10_000


def test_what_is_measured_is_not_compiled(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled block may run without the hooks that measure it."""
    compiled: list[torch.nn.Module] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: compiled.append(self))
    flags = f"--data.corpus.kind files --data.corpus.files {corpus} --data.tokenizer.kind byte"
    config = tiny_config(flags + " --model.n_layers 1")
    rows = transfer.coordinate_check(
        config, prepare(config.data), replace(CPU, compile=True), [16, 32], steps=1,
        say=lambda _: None,
    )  # fmt: skip
    assert rows and not compiled


def test_at_its_base_width_mup_is_the_standard_model() -> None:
    config = tiny_config("")
    base = transfer.at_width(config, 16, "mup")
    assert base.model.width_ratio == 1
    wide = transfer.at_width(config, 64, "mup")
    assert (wide.model.width_ratio, wide.model.head_dim, wide.model.n_heads) == (4, 4, 16)
    assert wide.model.feedforward.d_ff == 4 * (config.model.feedforward.d_ff or 0)
    assert wide.model.init_std == config.model.init_std


def test_initial_weights_that_followed_from_the_width_follow_from_the_other() -> None:
    narrow, wide = tiny_config(""), tiny_config("--model.d_model 64")
    assert transfer.at_width(narrow, 64, "standard").model.init_std == wide.model.init_std
    given = tiny_config("--model.init_std 0.03")
    assert transfer.at_width(given, 64, "standard").model.init_std == 0.03


def test_the_pictures_come_with_their_numbers(tinyscale_here: Call, tiny_yaml: Path) -> None:
    done = tinyscale_here(
        "models", "--lr-transfer", "tiny.yaml", "--widths", "16,32", "--steps", "3",
        "--lrs", "0.001,0.01", "--out", "pictures", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer["best"]) == {"standard/16", "standard/32", "mup/16", "mup/32"}
    lines = Path("pictures/lr_transfer.csv").read_text().splitlines()
    assert lines[0] == "parametrization,width,lr,loss"
    assert len(lines) == 1 + 2 * 2 * 2
    assert Path("pictures/lr_transfer.png").stat().st_size > 10_000


def test_a_coordinate_check_is_a_command(tinyscale_here: Call, tiny_yaml: Path) -> None:
    words = ("--coordinate-check", "tiny.yaml", "--widths", "16,32", "--steps", "2")
    done = tinyscale_here("models", *words, "--out", "pictures", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    places = {"embedding", "blocks.0", "blocks.0.attention", "blocks.0.feedforward"}
    assert {f"{kind}/{place}" for kind in ("standard", "mup") for place in places} <= set(
        answer["powers"]
    )
    assert "growth with width after 2 steps" in done.stderr
    with Path(answer["table"]).open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["width"] for row in rows} == {"16", "32"}
    assert {row["parametrization"] for row in rows} == {"standard", "mup"}
    assert Path(answer["picture"]).stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--widths many", "--widths is 'many', but it is two or more positive numbers"),
        ("--widths 16,32 --lrs nan,1", "--lrs is 'nan,1', but it is two or more positive"),
        ("--widths 16,32 --steps 0", "0 is not in the range x>=1"),
        ("--widths 16,32 --out tiny.yaml/x", "tiny.yaml/x cannot be written"),
        ("--widths 16,17", "At width 17: model.d_model 17 does not make heads of an even"),
        (
            "--widths 16,32 --optimizer.kind sgd",
            "At width 16: model.parametrization.kind mup has no rule for optimizer.kind sgd; use"
            " adamw, adam, lion or muon.",
        ),
    ],
)
def test_a_mistake_is_told_before_anything_is_trained(
    words: str, said: str, tinyscale_here: Call, tiny_yaml: Path
) -> None:
    done = tinyscale_here("models", "--lr-transfer", "tiny.yaml", *words.split())
    assert done.returncode == 2
    assert said in done.stderr and "best rate" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--steps 3", "--steps goes with --coordinate-check or --lr-transfer."),
        ("--verify tiny.yaml --widths 16,32", "--widths goes with --coordinate-check or"),
        ("--verify tiny.yaml --out x", "--out goes with --coordinate-check or"),
        ("--coordinate-check tiny.yaml --lrs 1,2", "--lrs goes with --lr-transfer."),
        ("gqa", "Say what to do with gqa, as in --verify gqa."),
        ("--model.d_model 64", "--model.d_model sets a field; say of which config"),
    ],
)
def test_what_would_be_ignored_is_refused(
    words: str, said: str, tinyscale_here: Call, tiny_yaml: Path
) -> None:
    done = tinyscale_here("models", *words.split())
    assert done.returncode == 2
    assert said in done.stderr
    assert not done.stdout
