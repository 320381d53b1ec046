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
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.runtime import resolve
from scaling.scoring import Stretch, log_probabilities
from scaling.trained import Trained

HELD_OUT = "(held-out text)"
DOCUMENTS = 1000  # of the reference split that are counted


@dataclass(frozen=True)
class _Ground:
    """What the models of one data config are held against."""

    reference: Reference
    training: NDArray[Any]
    held_out: list[Sample]
    tokenizer: Tokenizer


def quality_table(
    written: Sequence[Written], judge: Trained | None, *, say: Callable[[str], None]
) -> pd.DataFrame:
    """A row a model, and one of held-out text of the same amount; `judge` gives a perplexity."""
    grounds: dict[tuple[DataConfig, str | None], _Ground | None] = {}
    judged = _Judge(judge) if judge else None
    rows: list[dict[str, Any]] = []
    for one in written:
        data = one.trained.config.data
        trained_on = data, one.trained.data_digest
        if trained_on not in grounds:
            grounds[trained_on] = held = _ground(data, one, say)
            if held is not None:
                rows.append(_row(HELD_OUT, held.held_out, held, data, judged))
        samples = [Sample(s.text, s.ids, s.ended, s.prompt) for s in one.stories]
        row = _row(one.trained.label, samples, grounds[trained_on], data, judged)
        row["log_p_per_token"] = sum(s.log_p_per_token for s in one.stories) / len(one.stories)
        rows.append(row)
    table = pd.DataFrame(rows)
    return table.sort_values("run", key=lambda runs: runs == HELD_OUT, kind="stable")


def _row(
    label: str,
    samples: Sequence[Sample],
    ground: _Ground | None,
    data: DataConfig,
    judged: "_Judge | None",
) -> dict[str, Any]:
    found = measure(
        samples,
        ground.reference if ground else None,
        ground.training if ground else None,
        grammar=isinstance(data.corpus, StoriesCorpus),
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
    texts = documents(prepared.validation, prepared.tokenizer, DOCUMENTS)
    # As many held-out texts as stories, cut to their mean length, apart from the reference.
    count = min(len(one.stories), len(texts) // 4)
    length = round(sum(len(s.ids) for s in one.stories) / len(one.stories))
    held = [prepared.tokenizer.encode(text)[:length] for text in texts[:count]]
    samples = [Sample(prepared.tokenizer.decode(ids), ids, len(ids) < length) for ids in held]
    return _Ground(
        Reference.of(texts[count:]),
        prepared.train.tokens_array(),
        samples,
        prepared.tokenizer,
    )


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
        logs = log_probabilities(self.model, [self._stretch(sample) for sample in samples])
        nats = -sum(float(p.double().sum()) for p in logs)
        tokens = sum(map(len, logs))
        size = sum(len(sample.text.encode()) for sample in samples)
        if not tokens or not math.isfinite(nats):
            return {"judge_perplexity": None, "judge_bpb": None}
        return {
            "judge_perplexity": math.exp(min(700.0, nats / tokens)),
            "judge_bpb": nats / size / math.log(2),
        }

    def _stretch(self, sample: Sample) -> Stretch:
        """Encoded apart, so that the tokens asked for are those of the text and no others."""
        prompt = [self.tokenizer.eot, *self.tokenizer.encode(sample.prompt)]
        return Stretch([*prompt, *self.tokenizer.encode(sample.text)], len(prompt))
