"""Figures of texts against values by hand."""

import math
import time
from collections import Counter
from random import Random

import numpy as np
import pytest

from analysis.text_quality import (
    Reference,
    Sample,
    copied,
    count,
    distinct,
    divergence,
    grams,
    measure,
    repetition,
    self_bleu,
    words,
)
from scaling.data import stories
from tests.conftest import WORDS


def test_words_are_small_and_bare() -> None:
    assert words('"Don\'t go," said Mia!') == ["don't", "go", "said", "mia"]
    assert words("घर में, cafe\u0301") == ["घर", "में", "cafe\u0301"]
    assert words("小明 has 2 ปี.") == ["小", "明", "has", "2", "ปี"]  # no spaces part their words


def test_distinct_is_kinds_over_all() -> None:
    texts = [["a", "b", "a"], ["a"]]
    assert distinct(texts, 1) == 2 / 4
    assert distinct(texts, 2) == 2 / 2
    assert distinct([[]], 1) == 0


def test_repetition_is_what_stood_there_before() -> None:
    assert repetition([list("abcdabcd")]) == pytest.approx(1 / 5)
    assert repetition([list("abcdefgh")]) == 0
    assert repetition([list("aaaaaaaa")]) == pytest.approx(4 / 5)
    assert repetition([["a"]]) == 0


def test_self_bleu_is_one_of_equal_texts_and_none_of_one() -> None:
    text = words("the cat sat on the mat and looked at the dog")
    assert self_bleu([text, text]) == pytest.approx(1)
    assert self_bleu([text]) is None
    other = words("one day a boy found some red shoes under his bed")
    low = self_bleu([text, other])
    assert low is not None and low < 0.05


def test_self_bleu_is_the_mean_of_each_texts_own_against_the_others() -> None:
    texts = [draw.choices(WORDS, k=draw.randint(1, 40)) for draw in map(Random, range(8))]

    def bleu(text: list[str], others: list[list[str]]) -> float:
        logs = 0.0
        for n in range(1, 5):
            own = Counter(grams(text, n))
            clipped = sum(
                min(k, max(grams(o, n).count(g) for o in others)) for g, k in own.items()
            )
            logs += math.log(max(clipped, 0.1) / max(1, own.total())) / 4
        nearest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
        return math.exp(min(0.0, 1 - nearest / len(text)) + logs)

    each = [bleu(text, texts[:i] + texts[i + 1 :]) for i, text in enumerate(texts)]
    assert self_bleu(texts) == pytest.approx(sum(each) / len(each))


def test_self_bleu_of_as_many_texts_as_a_probe_writes_takes_no_minutes() -> None:
    draw = Random(0)
    texts = [[str(draw.randrange(800)) for _ in range(200)] for _ in range(130)]
    start = time.perf_counter()
    assert self_bleu(texts) is not None
    assert time.perf_counter() - start < 5  # once it was a minute


def test_divergence_by_hand() -> None:
    own = [["a", "a", "b"]]
    reference: Counter[tuple[str, ...]] = Counter({("a",): 1, ("c",): 3})
    p = np.array([2.5, 1.5, 0.5]) / 4.5  # of a, b, c
    q = np.array([1.5, 0.5, 3.5]) / 5.5
    assert divergence(own, reference, 1) == pytest.approx(float((p * np.log(p / q)).sum()))
    same = count([["a", "b"] * 500], 1)
    assert divergence([["a", "b"] * 500], same, 1) == pytest.approx(0)
    assert divergence([[]], same, 1) is None


def test_copied_runs_of_eight() -> None:
    training = np.arange(1000, dtype=np.uint16)
    assert copied([list(range(40, 60))], training) == 1
    assert copied([list(range(60, 40, -1))], training) == 0
    half = [*range(10, 18), *[7] * 8]  # 9 runs, of which the first is there
    assert copied([half], training) == pytest.approx(1 / 9)
    assert copied([[1, 2, 3]], training) is None


def test_copied_is_found_across_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.text_quality.SCAN", 10)
    training = np.arange(95, dtype=np.uint16)
    assert copied([list(range(95))], training) == 1


def test_figures_are_of_the_text_and_not_of_its_prompt() -> None:
    prompt = "Once upon a time there was a little girl named Lily who lived in a small house"
    texts = [" and she ran.", " who loved cats.", " but nobody came."]
    after = measure([Sample(text, [1], True, prompt) for text in texts])
    assert after == measure([Sample(text, [1], True) for text in texts])
    assert after.words == 3 and after.distinct_1 == 1
    nothing = measure([Sample("", [], True, prompt)] * 2)
    assert nothing.words == 0 and nothing.self_bleu is None


def test_the_grammar_reads_a_text_after_its_prompt() -> None:
    whole = stories.story(1, 2)
    prompt, text = whole[:60], whole[60:]
    assert measure([Sample(text, [1], True, prompt)], grammar=True).accepted == 1
    assert measure([Sample(text, [1], True)], grammar=True).accepted == 0


def test_an_article_that_is_wrong_late_leaves_what_stands_before_it() -> None:
    good = stories.story(1, 65)
    at = good.rfind(" an ")
    bad = f"{good[:at]} a {good[at + 4 :]}"
    found = measure([Sample(bad, [1], True)], grammar=True)
    assert found.accepted == 0
    assert found.understood == pytest.approx(at / len(bad), abs=0.01) and at > 500


def test_the_grammar_reads_texts_from_first_to_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.text_quality.PARSED", 2)
    good = Sample(stories.story(1, 0), [1], True)
    found = measure([good, good, Sample("No.", [1], True), Sample("No.", [1], True)], grammar=True)
    assert found.accepted == 0.5


def test_the_corpus_is_accepted_and_a_changed_fact_is_not() -> None:
    good = [stories.story(1, i) for i in range(3)]
    samples = [Sample(text, list(range(20)), True) for text in good]
    found = measure(samples, Reference.of(good), grammar=True)
    assert found.accepted == 1 and found.understood == 1 and found.contradictions == 0
    assert found.kl_1 is not None and math.isclose(found.kl_1, 0, abs_tol=1e-9)
    assert found.ended == 1 and found.texts == 3
    nonsense = measure([Sample("Blue is the wind.", [1], False)], grammar=True)
    assert nonsense.accepted == 0 and nonsense.contradictions is None
    assert nonsense.ended == 0
