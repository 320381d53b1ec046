"""What generated texts are like: varied or repetitive, like the reference or copied from it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import regex
from numpy.typing import NDArray

from scaling.data import stories
from scaling.prompts.match import SPACELESS

# Where nothing parts the words, each letter with its marks counts as one.
_WORD = regex.compile(rf"[{SPACELESS}]\p{{M}}*|[[\w\p{{N}}'-]--[{SPACELESS}]]+", regex.V1)
COPIED = 8  # tokens in a row that count as copied
SCAN = 2**22  # training tokens looked through at a time
PARSED = 24  # texts that the embedded corpus's grammar reads, of all evenly: seconds each, some

Words = list[str]
Gram = tuple[str, ...]


@dataclass(frozen=True)
class Quality:
    """Figures of a set of texts. Shares are from 0 to 1; divergences are in nats."""

    texts: int
    words: float  # a text, on average
    ended: float  # share that came to an end of their own
    distinct_1: float  # different words over words, all texts together
    distinct_2: float
    distinct_3: float
    repetition: float  # share of a text's 4-grams that it has had before
    self_bleu: float | None  # how alike the texts are; of one text there is none
    kl_1: float | None  # divergence of its words from the reference's
    kl_2: float | None  # of its pairs of words
    copied: float | None  # share of its 8-grams of tokens that the training text has
    # What the embedded corpus's grammar makes of the texts, each with its prompt:
    accepted: float | None = None  # share that it accepts
    understood: float | None = None  # share of a text up to where no story goes on so
    contradictions: float | None = None  # facts contradicted, a text that can be read at all

    def as_dict(self) -> dict[str, float | int | None]:
        """For a table."""
        return asdict(self)


@dataclass(frozen=True)
class Reference:
    """What texts are held against."""

    unigrams: Counter[Gram]
    bigrams: Counter[Gram]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Reference":
        """Counted from the texts of a split."""
        split = [words(text) for text in texts]
        return cls(count(split, 1), count(split, 2))


def words(text: str) -> Words:
    """In small letters, without punctuation."""
    return _WORD.findall(text.lower())


def count(texts: Sequence[Words], n: int) -> Counter[Gram]:
    """n-grams within texts."""
    return Counter(gram for text in texts for gram in grams(text, n))


def grams(text: Words, n: int) -> list[Gram]:
    """A text's n-grams in their order."""
    return list(zip(*(text[i:] for i in range(n)), strict=False))


def distinct(texts: Sequence[Words], n: int) -> float:
    """Different n-grams over n-grams (Li et al., arXiv:1510.03055); falls with more text."""
    counted = count(texts, n)
    return len(counted) / max(1, counted.total())


def repetition(texts: Sequence[Words], n: int = 4) -> float:
    """Mean share of a text's n-grams that stood in it before."""
    shares = [1 - len(set(g)) / len(g) for text in texts if (g := grams(text, n))]
    return sum(shares) / len(shares) if shares else 0.0


def self_bleu(texts: Sequence[Words]) -> float | None:
    """Mean BLEU-4 of each text against all others (Zhu et al., arXiv:1802.01886)."""
    kept = [text for text in texts if text]
    if len(kept) < 2:
        return None
    precisions = zip(*(_precisions(kept, n) for n in range(1, 5)), strict=True)
    lengths = [len(text) for text in kept]
    total = 0.0
    for i, logs in enumerate(precisions):
        own, others = lengths[i], lengths[:i] + lengths[i + 1 :]
        nearest = min(others, key=lambda other: (abs(other - own), other))
        total += math.exp(min(0.0, 1 - nearest / own) + sum(logs) / 4)
    return total / len(kept)


def _precisions(texts: Sequence[Words], n: int) -> list[float]:
    """For each text, the log of the share of its n-grams that another one has, each of them
    counted as often at most as that other has it."""
    counts = [Counter(grams(text, n)) for text in texts]
    most: dict[Gram, tuple[int, int]] = {}  # the two largest counts in one text
    for own in counts:
        for gram, times in own.items():
            first, second = most.get(gram, (0, 0))
            most[gram] = (times, first) if times > first else (first, max(times, second))
    logs = []
    for own in counts:
        # The largest count is either another text's, or this one's and the second another's.
        hits = sum(
            times if times < most[gram][0] else most[gram][1] for gram, times in own.items()
        )
        logs.append(math.log(max(hits, 0.1) / max(1, own.total())))  # smoothed as NLTK's method 1
    return logs


def divergence(texts: Sequence[Words], reference: Counter[Gram], n: int) -> float | None:
    """KL(texts || reference) of n-grams in nats, half a count added to every one of either.

    Few texts diverge more than many, of one source alike: hold it against held-out text of the
    same amount.
    """
    own = count(texts, n)
    if not own or not reference:
        return None
    kinds = len(own.keys() | reference.keys())
    own_total, total = own.total() + 0.5 * kinds, reference.total() + 0.5 * kinds
    seen = sum(
        (times + 0.5)
        / own_total
        * math.log((times + 0.5) / own_total / ((reference[gram] + 0.5) / total))
        for gram, times in own.items()
    )
    # What only the reference has, of which the texts have half a count each.
    unseen = sum(
        0.5 / own_total * math.log(0.5 / own_total / ((times + 0.5) / total))
        for gram, times in reference.items()
        if gram not in own
    )
    return seen + unseen


def copied(texts: Sequence[Sequence[int]], training: NDArray[np.generic]) -> float | None:
    """Share of the texts' runs of 8 tokens that stand in the training text.

    By a hash of 64 bits; the training text is read once, in stretches.
    """
    hashes = [_hashes(np.asarray(ids, np.uint64)) for ids in texts if len(ids) >= COPIED]
    if not hashes:
        return None
    wanted = np.unique(np.concatenate(hashes))
    found = np.zeros(len(wanted), bool)
    for start in range(0, len(training), SCAN):
        stretch = training[start : start + SCAN + COPIED - 1].astype(np.uint64)
        if len(stretch) >= COPIED:
            found |= np.isin(wanted, _hashes(stretch))
    there = wanted[found]
    return float(np.mean(np.isin(np.concatenate(hashes), there)))


def _hashes(ids: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A number for each run of 8 tokens (a polynomial modulo 2^64, then mixed)."""
    out = np.zeros(len(ids) - COPIED + 1, np.uint64)
    for i in range(COPIED):
        out = out * np.uint64(0x9E3779B97F4A7C15) + ids[i : i + len(out)] + np.uint64(1)
    return out ^ (out >> np.uint64(29))


@dataclass(frozen=True)
class Sample:
    """A text, its tokens, and the prompt that it goes on from, which is no part of either."""

    text: str
    ids: Sequence[int]
    ended: bool
    prompt: str = ""


def measure(
    samples: Sequence[Sample],
    reference: Reference | None = None,
    training: NDArray[np.generic] | None = None,
    *,
    grammar: bool = False,
) -> Quality:
    """All figures of a set of texts; `grammar` is for models of the embedded corpus.

    Of the texts alone: prompts were written by people, and are the same for every model. Only
    the grammar reads them, since a text makes sense after its prompt.
    """
    split = [words(sample.text) for sample in samples]
    accepted = understood = contradictions = None
    if grammar:
        accepted, understood, contradictions = _read(
            [sample.prompt + sample.text for sample in samples]
        )
    return Quality(
        texts=len(samples),
        words=sum(map(len, split)) / len(samples),
        ended=sum(sample.ended for sample in samples) / len(samples),
        distinct_1=distinct(split, 1),
        distinct_2=distinct(split, 2),
        distinct_3=distinct(split, 3),
        repetition=repetition(split),
        self_bleu=self_bleu(split),
        kl_1=divergence(split, reference.unigrams, 1) if reference else None,
        kl_2=divergence(split, reference.bigrams, 2) if reference else None,
        copied=None if training is None else copied([s.ids for s in samples], training),
        accepted=accepted,
        understood=understood,
        contradictions=contradictions,
    )


def _read(texts: Sequence[str]) -> tuple[float, float, float | None]:
    """What the embedded corpus's reader makes of some texts, spread over all of them."""
    some = min(PARSED, len(texts))
    chosen = [texts[i * len(texts) // some].strip() for i in range(some)]
    readings = [stories.parse(text) for text in chosen]
    readable = [reading for reading in readings if reading.path]
    shares = [r.reach / max(1, len(text)) for r, text in zip(readings, chosen, strict=True)]
    return (
        sum(reading.accepted for reading in readings) / some,
        sum(shares) / some,
        sum(len(r.contradictions) for r in readable) / len(readable) if readable else None,
    )
