"""The quality of what models wrote, held against the text that they learned from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.probe.write import Written
from analysis.text_quality import Reference, Sample, measure
from scaling.config import DataConfig, RuntimeConfig, StoriesCorpus
from scaling.data.packed import PackedSplit
from scaling.data.prepare import prepare
from scaling.data.tokenizer import MOST_UNKNOWN, Tokenizer
from scaling.errors import UserError
from scaling.runtime import resolve
from scaling.scoring import Stretch, log_probabilities
from scaling.trained import Trained

DOCUMENTS = 1000  # of the validation split that are counted, if no more are needed


@dataclass(frozen=True)
class _Ground:
    """What the models of one data config are held against.

    Attributes:
        reference: counts of validation documents, those of `held_out` not among them.
        training: the tokens that the models learned from, [T].
        held_out: validation documents as tokens, as many as each model wrote stories; none where
            the split has too few.
        tokenizer: the data's.
    """

    reference: Reference
    training: NDArray[Any]
    held_out: list[list[int]]
    tokenizer: Tokenizer


def quality_table(
    written: Sequence[Written], judge: Trained | None, *, say: Callable[[str], None]
) -> pd.DataFrame:
    """A row a model, and below it one of held-out text, as many texts of its stories' mean length.

    `judge` gives perplexities. The grammar reads no held-out text: that is the corpus's own.
    """
    grounds: dict[tuple[DataConfig, str | None], _Ground | None] = {}
    judged = _Judge(judge) if judge else None
    rows: list[dict[str, Any]] = []
    for one in written:
        data = one.trained.config.data
        trained_on = data, one.trained.data_digest
        if trained_on not in grounds:
            grounds[trained_on] = _ground(data, one, say)
        ground = grounds[trained_on]
        samples = [Sample(s.text, s.ids, s.ended, s.prompt) for s in one.stories]
        grammar = isinstance(data.corpus, StoriesCorpus)
        row = _row(one.trained.label, samples, ground, judged, grammar=grammar)
        row["log_p_per_token"] = sum(s.log_p_per_token for s in one.stories) / len(one.stories)
        rows.append(row)
        if ground is not None and ground.held_out:
            label = f"held-out, like {one.trained.label}"
            rows.append(_row(label, _held_out(ground, one), ground, judged, grammar=False))
    return pd.DataFrame(rows)


def _row(
    label: str,
    samples: Sequence[Sample],
    ground: _Ground | None,
    judged: "_Judge | None",
    *,
    grammar: bool,
) -> dict[str, Any]:
    found = measure(
        samples,
        ground.reference if ground else None,
        ground.training if ground else None,
        grammar=grammar,
    )
    row: dict[str, Any] = {"run": label, **found.as_dict()}
    if judged is not None:
        row |= judged(samples)
    return row


def _ground(data: DataConfig, one: Written, say: Callable[[str], None]) -> _Ground | None:
    """The models' data; None, with a word, where they are not to be had here, or not any more."""
    try:
        prepared = prepare(data, say=say)
        prepared.check(one.trained.data_digest)
    except UserError as error:
        say(f"No comparison with the data: {error}")
        return None
    count = len(one.stories)
    texts = documents(prepared.validation, prepared.tokenizer, max(DOCUMENTS, 2 * count))
    if len(texts) < 2 * count:  # the reference is to be no smaller than what is held against it
        say(
            f"No row of held-out text: for {count} stories the validation split would need"
            f" {2 * count} documents, and it has {len(texts)}."
        )
        count = 0
    return _Ground(
        Reference.of(texts[count:]),
        prepared.train.tokens_array(),
        [prepared.tokenizer.encode(text) for text in texts[:count]],
        prepared.tokenizer,
    )


def _held_out(ground: _Ground, one: Written) -> list[Sample]:
    """The held-out documents, cut to the mean length of a model's stories."""
    length = round(sum(len(story.ids) for story in one.stories) / len(one.stories))
    return [
        Sample(ground.tokenizer.decode(ids[:length]), ids[:length], len(ids) <= length)
        for ids in ground.held_out
    ]


def documents(split: PackedSplit, tokenizer: Tokenizer, most: int) -> list[str]:
    """The first documents of a split, as text."""
    ends, tokens = split.document_ends()[:most], split.tokens_array()
    starts = np.concatenate([[1], ends[:-1] + 1])
    return [
        tokenizer.decode(tokens[start:end].tolist())
        for start, end in zip(starts, ends, strict=True)
    ]


class _Judge:
    """Another model's opinion of texts, each after its prompt."""

    def __init__(self, trained: Trained) -> None:
        runtime = resolve(RuntimeConfig(precision="fp32", compile=False))
        self.model, self.tokenizer = trained.load(runtime)

    def __call__(self, samples: Sequence[Sample]) -> dict[str, float | None]:
        given = [self.tokenizer.encode(sample.text) for sample in samples]
        if self.tokenizer.unknown is not None:
            unknown = sum(ids.count(self.tokenizer.unknown) for ids in given)
            if unknown > MOST_UNKNOWN * sum(map(len, given)):  # it cannot read them
                return {"judge_perplexity": None, "judge_bpb": None}
        pairs = zip(samples, given, strict=True)
        logs = log_probabilities(self.model, [self._stretch(*pair) for pair in pairs])
        nats = -sum(float(p.double().sum()) for p in logs)
        tokens = sum(map(len, logs))
        size = sum(len(sample.text.encode()) for sample in samples)
        if not tokens or not math.isfinite(nats):
            return {"judge_perplexity": None, "judge_bpb": None}
        return {
            "judge_perplexity": math.exp(min(700.0, nats / tokens)),
            "judge_bpb": nats / size / math.log(2),
        }

    def _stretch(self, sample: Sample, ids: list[int]) -> Stretch:
        """Encoded apart, so that the tokens asked for are those of the text and no others."""
        prompt = [self.tokenizer.eot, *self.tokenizer.encode(sample.prompt)]
        return Stretch([*prompt, *ids], len(prompt))
