"""The pictures of a prompt eval: what their axes and legends leave out."""

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.prompts.figures import draw


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The figures by their files' names; nothing is written."""
    found: dict[str, Figure] = {}

    def keep(figure: Figure, path: Path, **_: object) -> None:
        found[path.name] = figure

    monkeypatch.setattr(Figure, "savefig", keep)
    return found


def test_chance_is_named_and_a_model_of_no_tokens_is_drawn(
    figures: dict[str, Figure], tmp_path: Path
) -> None:
    tokens = [0, 500_000, 1_000_000, 2_000_000]
    accuracy = [0.4, 0.5, 0.6, 0.7]
    summary = pd.DataFrame(
        {
            "tokenizer": "byte",
            "text": "stories",
            "data": "stories byte",
            "parameters": 1_200_000,
            "tokens": tokens,
            "val_loss": [6.0, 2.8, 2.6, 2.4],
            **{f"accuracy{end}": accuracy for end in ("", "_low", "_high")},
            **{f"p_right{end}": accuracy for end in ("", "_low", "_high")},
            "chance": 0.45,
        }
    )
    chance = {"written": 0.0, "chosen": 0.5}  # the first category has none
    parts = pd.DataFrame(
        [
            {"run": run, "category": category, "accuracy": 0.5, "accuracy_low": 0.4,
             "accuracy_high": 0.6, "chance": level}
            for run in ("one", "two")
            for category, level in chance.items()
        ]
    )  # fmt: skip
    draw(summary, parts, parts.rename(columns={"category": "difficulty"}), tmp_path)
    (legend,) = figures["categories.png"].legends
    assert [text.get_text() for text in legend.get_texts()].count("chance") == 1
    panel = next(a for a in figures["score.png"].axes if a.get_xlabel() == "training tokens")
    low, high = panel.get_xlim()
    assert panel.get_xscale() == "linear" and low <= 0 and high >= 2_000_000
    assert {a.get_xlabel() for a in figures["score.png"].axes} > {"training tokens"}
    apart = summary.assign(data=["one", "one", "two", "two"])
    draw(apart, parts, parts.rename(columns={"category": "difficulty"}), tmp_path)
    assert {a.get_xlabel() for a in figures["score.png"].axes} == {"training tokens"}
