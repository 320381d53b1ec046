"""Accuracies and scores with their intervals: by run, by category, by difficulty."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from analysis.prompts.evaluate import Evaluation
from scaling.data.digest import digest_of
from scaling.trained import Trained

Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2000


def summary(evaluation: Evaluation) -> pd.DataFrame:
    """A row a model: what it is, and how it did."""
    rows = []
    for trained in evaluation.models:
        own = evaluation.results[evaluation.results["run"] == trained.label]
        rows.append(
            {
                "run": trained.label,
                "name": trained.config.name,
                "seed": trained.config.seed,
                "tokenizer": _tokenizer(trained),
                "text": _text(trained),
                "data": trained.data_digest or f"{_text(trained)} {_tokenizer(trained)}",
                "step": trained.step,
                "parameters": trained.facts.parameters,
                "non_embedding": trained.facts.non_embedding,
                "tokens": trained.facts.tokens,
                "val_loss": trained.facts.loss,
                "val_bpb": trained.facts.bpb,
                **figures(own),
            }
        )
    return pd.DataFrame(rows)


def loss_column(table: pd.DataFrame) -> str | None:
    """Which loss of a summary compares its models.

    Nats per token on the same data; bits per byte on the same text by different tokenizers; None
    on different texts, and where a tokenizer does not know its text.
    """
    data, tokenizers = table["data"].nunique(), table["tokenizer"].nunique()
    if data == 1:
        return "val_loss"
    alike = table["text"].nunique() == 1 and data == tokenizers
    return "val_bpb" if alike and table["val_bpb"].notna().all() else None


def _tokenizer(trained: Trained) -> str:
    """What tells it from others: its kind and its size."""
    size = trained.facts.vocab_size
    return trained.config.data.tokenizer.kind + ("" if size is None else f" {size}")


def _text(trained: Trained) -> str:
    """What tells its corpus and splits from others, by their content where that is noted."""
    data = trained.config.data
    corpus = getattr(data.corpus, "content", None) or data.corpus.model_dump(mode="json")
    splits = data.validation_share, data.test_share, data.val_is_test
    return digest_of([corpus, *splits])[:12]


def breakdown(evaluation: Evaluation, by: str) -> pd.DataFrame:
    """A row a model and category (or difficulty)."""
    order = list(evaluation.results[by].unique())
    if by != "category":
        order.sort()
    rows = []
    for trained in evaluation.models:
        own = evaluation.results[evaluation.results["run"] == trained.label]
        rows += [
            {"run": trained.label, by: value, **figures(own[own[by] == value])} for value in order
        ]
    return pd.DataFrame(rows)


def figures(rows: pd.DataFrame) -> dict[str, float | int | None]:
    """Accuracy, the score weighted by points, and the probability of what is right.

    Intervals are over items: Wilson's for the accuracy, a bootstrap for the rest. `p_right` is a
    mean over the items that are judged by probability; it moves long before an accuracy does.
    """
    items = rows.groupby("id", sort=False).agg(
        passed=("passed", "mean"),
        points=("points", "mean"),
        score=("score", "first"),
        chance=("chance", "first"),
        p_right=("p_right", "first"),
    )
    passed = items["passed"].to_numpy(float)
    low, high = wilson(float(passed.mean()), len(items))
    score = items["score"].to_numpy(float)
    points = items["points"].to_numpy(float)
    score_low, score_high = _bootstrap(points, score)
    chosen = items["p_right"].dropna().to_numpy(float)
    p_low, p_high = _bootstrap(chosen, np.ones_like(chosen)) if len(chosen) else (None, None)
    return {
        "items": len(items),
        "completions": len(rows),
        "passed": int(rows["passed"].sum()),
        "accuracy": float(passed.mean()),
        "accuracy_low": low,
        "accuracy_high": high,
        "points": float(points.sum()),
        "points_possible": float(score.sum()),
        "weighted_score": float(points.sum() / score.sum()),
        "weighted_score_low": score_low,
        "weighted_score_high": score_high,
        "p_right": float(chosen.mean()) if len(chosen) else None,
        "p_right_low": p_low,
        "p_right_high": p_high,
        "chance": float(items["chance"].mean()),
    }


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval of a share of `count`, at 95 percent."""
    z = 1.959963984540054
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + (z / count) ** 2 / 4)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _bootstrap(parts: Floats, wholes: Floats) -> tuple[float, float]:
    """The interval of sum(parts) / sum(wholes) over items; seeded."""
    draws = np.random.default_rng(0).integers(0, len(parts), (RESAMPLES, len(parts)))
    ratios = parts[draws].sum(1) / wholes[draws].sum(1)
    low, high = np.quantile(ratios, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Spearman's, of at least three pairs; None where one of the two does not vary."""
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    return float(spearmanr(x, y).statistic)


def correlations(table: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Rank correlation over models of accuracy, score and probability with loss and size.

    The loss is `loss_column`'s, if any: other losses have no common order.
    """
    loss = loss_column(table)
    found: dict[str, dict[str, float | None]] = {}
    for measure in ("accuracy", "weighted_score", "p_right"):
        found[measure] = {}
        for axis in (*([loss] if loss else []), "parameters", "tokens"):
            pairs = table[[axis, measure]].dropna().astype(float)
            found[measure][axis] = rank_correlation(pairs[axis].tolist(), pairs[measure].tolist())
    return found
