"""Whether an answer passes, within a time limit."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling.prompts.match import MatchKind, PatternTimeoutError, passes


@pytest.mark.parametrize(
    ("written", "answer", "kind", "expected"),
    [
        (" The cat sat", "cat", "contains", True),
        (" The cats sat", "cat", "contains", False),
        ("the end", "he", "contains", False),
        (" She can't swim", "can", "contains", False),
        (" Can’t", "can", "prefix", False),
        (" It is Tim's", "Tim", "contains", True),
        (" a big\n dog", "big dog", "contains", True),
        (' "Moo!" said', "moo", "prefix", True),
        (" Moony", "moo", "prefix", False),
        (" and moo", "moo", "prefix", False),
        (" and moo", "!", "prefix", False),
        ("! and moo", "!", "prefix", True),
        (' "..." he said', '"...', "prefix", True),
        (" !", "!", "exact", True),
        (" ?", "!", "exact", False),
        ("", "!", "exact", False),
        (" Moo!", "moo", "exact", True),
        (" Moo moo!", "moo", "exact", False),
        ("小明去了学校里玩", "学校", "contains", True),
        ("学校里有树", "学校", "prefix", True),
        ("「学校。」", "学校", "exact", True),
        ("ปลาในทะเล", "ปลา", "prefix", True),
        ("กิน", "ก", "contains", False),  # the letter has a mark
        ("घरों में", "घर", "contains", False),  # a mark goes on with the word
        ("cafe\u0301", "cafe", "contains", False),
        ("我有2只cats", "cat", "contains", False),
        (" it is 42 now", r"\b4\d\b", "regex", True),
        (" it is 52 now", r"\b4\d\b", "regex", False),
        ("HELLO", "hello", "regex", True),
    ],
)
def test_kinds(written: str, answer: str, kind: MatchKind, expected: bool) -> None:
    assert passes(written, answer, kind, case_sensitive=False) is expected


def test_letters_can_matter() -> None:
    assert not passes("moo", "Moo", "contains", case_sensitive=True)
    assert passes("Moo", "Moo", "regex", case_sensitive=True)


@pytest.mark.parametrize("pattern", [r"(a|aa)+$", r"(((a{1,1000}){1,1000}){1,1000})x"])
def test_a_pattern_cannot_hang(pattern: str) -> None:
    start = time.perf_counter()
    with pytest.raises(PatternTimeoutError):
        passes("a" * 60 + "b", pattern, "regex", case_sensitive=False)
    assert time.perf_counter() - start < 5


@given(st.text(max_size=40), st.text(min_size=1, max_size=10))
def test_a_text_contains_its_own_words(before: str, word: str) -> None:
    whole = f"{before} {word} end"
    if word.strip():
        assert passes(whole, word.strip(), "contains", case_sensitive=False)
