"""Tokenizers: text comes back, the quick way agrees with the library, and bytes add up."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.config import BpeTokenizer, ByteTokenizer, CharTokenizer, Gpt2Tokenizer
from scaling.config import Tokenizer as TokenizerConfig
from scaling.data import encoding, training
from scaling.data.encoding import UNSURE, WORD
from scaling.data.tokenizer import END_OF_TEXT, Tokenizer, byte_alphabet
from scaling.data.training import make
from scaling.errors import UserError
from tests.scaling.data.texts import stories

GPT2 = Path(__file__).parents[4] / "shared/data/tokenizers"
needs_gpt2 = pytest.mark.skipif(not GPT2.is_dir(), reason="GPT-2's files are not here")
# Words, contractions, digits, all blanks, letters with accents, and characters that only the
# library splits.
TRICKY = (
    "Once upon a time",
    "don't we'll I'M it's 'tis they've he'd '' 's",
    "  two  spaces \n\n\n new \t tab \r\n\x0b\x0c\x1c\x1f\x85\xa0 end  ",
    "x²+y³ = ½, naïve Zoë “quoted” – dash… ‘single’",
    "日本語 и русский 🙂👩‍👧 \u2028 \u3000",
    f"it says {END_OF_TEXT} itself",
    "",
    "\ufeff\u200b\x00",
    "w" * 200,
)
text = st.one_of(st.text(), st.text("ab 's\n1½é\u2019\xa0<|"), st.sampled_from(TRICKY))


def trained(config: TokenizerConfig, says: Callable[[str], None] = lambda _: None) -> Tokenizer:
    return make(config, lambda: [stories(200)], says)


def gpt2() -> Tokenizer:
    vocab, merges = str(GPT2 / "gpt2_vocab.json"), str(GPT2 / "gpt2_merges.txt")
    return trained(Gpt2Tokenizer(vocab=vocab, merges=merges))


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return trained(BpeTokenizer(vocab_size=500))


@pytest.fixture(scope="module")
def by_byte() -> Tokenizer:
    return trained(ByteTokenizer())


@pytest.fixture(scope="module")
def char() -> Tokenizer:
    return trained(CharTokenizer())


def assert_nothing_is_lost(tokenizer: Tokenizer, texts: list[str]) -> None:
    sizes = tokenizer.token_bytes()
    for text, quick in zip(texts, tokenizer.encode_batch(texts), strict=True):
        ids = tokenizer.encode(text)
        assert quick.tolist() == ids
        assert quick.dtype == tokenizer.dtype
        assert tokenizer.decode(ids) == text
        assert sizes[ids].sum() == len(text.encode())
        assert tokenizer.eot not in ids


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(text, max_size=4))
def test_bpe_with_any_text(bpe: Tokenizer, texts: list[str]) -> None:
    assert_nothing_is_lost(bpe, texts)


@settings(max_examples=150, deadline=None)
@given(texts=st.lists(text, max_size=4), size=st.integers(1, 9))
def test_long_texts_in_pieces(bpe: Tokenizer, texts: list[str], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "PIECE", size)
        assert_nothing_is_lost(bpe, [*texts, "".join(texts)])


def test_a_long_text_s_pieces_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = " ".join(stories(200)) + " 日本語"
    monkeypatch.setattr(encoding, "PIECE", 1000)
    parts = list(encoding.pieces(whole))
    assert "".join(parts) == whole
    assert max(map(len, parts)) < 1020


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(text, max_size=4))
def test_byte_with_any_text(by_byte: Tokenizer, texts: list[str]) -> None:
    assert_nothing_is_lost(by_byte, texts)


def test_tricky_texts(bpe: Tokenizer, by_byte: Tokenizer) -> None:
    for tokenizer in (bpe, by_byte):
        assert_nothing_is_lost(tokenizer, list(TRICKY))
        assert_nothing_is_lost(tokenizer, list(TRICKY))  # now from the dictionary


def test_words_are_split_as_the_library_splits_them() -> None:
    """Each character beside letters, blanks and digits, but those that are left to the library."""
    from tokenizers.pre_tokenizers import ByteLevel

    library = ByteLevel(add_prefix_space=False)
    texts = [f"big{chr(c)} {chr(c)}{chr(c)}cat  1{chr(c)}2'll" for c in range(0x3100)]
    sure = [text for text in texts if not UNSURE.search(text)]
    assert len(sure) > 200
    for text in sure:
        spans = [span for _, span in library.pre_tokenize_str(text)]
        assert WORD.findall(text) == [text[start:end] for start, end in spans], ascii(text)


@needs_gpt2
def test_gpt2_gives_the_known_ids() -> None:
    tokenizer = gpt2()
    assert tokenizer.vocab_size == 50257
    assert tokenizer.eot == 50256
    assert tokenizer.encode("Hello world") == [15496, 995]
    assert tokenizer.encode("Once upon a time, there was") == [7454, 2402, 257, 640, 11, 612, 373]
    assert_nothing_is_lost(tokenizer, list(TRICKY))


def test_byte_ids_are_the_bytes(by_byte: Tokenizer) -> None:
    assert by_byte.encode("Aé") == list("Aé".encode())
    assert (by_byte.vocab_size, by_byte.eot) == (257, 256)


def test_a_wild_byte_decodes_to_a_replacement(by_byte: Tokenizer) -> None:
    assert by_byte.decode([65, 255, by_byte.eot, 66]) == "A\ufffdB"


def test_char_knows_what_it_has_seen(char: Tokenizer) -> None:
    assert_nothing_is_lost(char, stories(3))
    ids = char.encode("cat é")
    assert ids[-1] == char.unknown
    assert char.encode_batch(["cat é", ""])[0].tolist() == ids
    assert char.decode(ids) == "cat <unk>"
    assert len(char.encode("<unk>")) == 5
    assert char.token_bytes()[ids].tolist() == [1, 1, 1, 1, 0]


def test_char_counts_the_bytes_of_its_characters() -> None:
    tokenizer = make(CharTokenizer(), lambda: [["aé\r\n日🙂"]], lambda _: None)
    ids = tokenizer.encode("aé\r\n日🙂")
    assert tokenizer.token_bytes()[ids].tolist() == [1, 2, 1, 1, 3, 4]
    assert tokenizer.decode(ids) == "aé\r\n日🙂"


@pytest.mark.parametrize("kind", ["bpe", "by_byte", "char"])
def test_saved_and_loaded_is_the_same(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    tokenizer: Tokenizer = request.getfixturevalue(kind)
    tokenizer.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert (loaded.vocab_size, loaded.eot) == (tokenizer.vocab_size, tokenizer.eot)
    assert (loaded.token_bytes() == tokenizer.token_bytes()).all()
    texts = [*stories(5), f"ends {END_OF_TEXT} here"]
    for a, b in zip(loaded.encode_batch(texts), tokenizer.encode_batch(texts), strict=True):
        assert a.tolist() == b.tolist()


def test_training_twice_gives_the_same_tokenizer(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trained(BpeTokenizer(vocab_size=400)).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("endless", ["a" * 100_000, " " * 100_000, "=-" * 50_000])
def test_a_word_without_end_is_trained_on_in_no_time(endless: str) -> None:
    start = time.perf_counter()
    tokenizer = make(BpeTokenizer(vocab_size=300), lambda: [["one", endless]], lambda _: None)
    assert time.perf_counter() - start < 5  # once it was half a minute
    assert_nothing_is_lost(tokenizer, [endless[:500]])


def test_ordinary_texts_are_trained_on_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        *stories(100),
        " ".join(stories(100, seed=1)),
        *TRICKY,
        "你好，世界。" * 300,
        "w" * 900,
    ]
    monkeypatch.setattr(encoding, "PIECE", 100)
    tokenizer = make(BpeTokenizer(vocab_size=400), lambda: [texts], lambda _: None)
    tokenizer.save(tmp_path / "a")
    monkeypatch.setattr(training, "_words_bounded", lambda texts: texts)
    tokenizer = make(BpeTokenizer(vocab_size=400), lambda: [texts], lambda _: None)
    tokenizer.save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_vocabulary_that_the_text_cannot_fill_is_said() -> None:
    heard: list[str] = []
    tokenizer = trained(BpeTokenizer(vocab_size=20_000), heard.append)
    assert tokenizer.vocab_size < 20_000
    assert f"{tokenizer.vocab_size:,}" in heard[0]
    assert tokenizer.token_bytes().shape == (tokenizer.vocab_size,)


def test_more_than_65536_entries_are_wide() -> None:
    characters = "".join(map(chr, range(0x4E00, 0x9FFF))) + "".join(
        map(chr, range(0x20000, 0x2C000))
    )
    tokenizer = make(CharTokenizer(), lambda: [[characters]], lambda _: None)
    assert tokenizer.vocab_size > 65_536
    (ids,) = tokenizer.encode_batch([characters])
    assert ids.dtype == np.uint32
    assert ids.max() == tokenizer.vocab_size - 1


def test_byte_alphabet_is_the_library_s() -> None:
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(byte_alphabet()) == sorted(ByteLevel.alphabet())
    (pieces,) = [ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str("é\n")]
    assert pieces[0][0] == "".join(byte_alphabet()[byte] for byte in "é\n".encode())


def test_a_file_that_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no tokenizer at"):
        Tokenizer.load(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"is not a tokenizer\.json"):
        Tokenizer.load(tmp_path / "a.json")


def test_gpt2_files_that_are_not_there() -> None:
    with pytest.raises(UserError, match=r"data\.tokenizer\.vocab: there is no file no\.json"):
        trained(Gpt2Tokenizer(vocab="no.json", merges="no.txt"))


@pytest.mark.parametrize(
    ("vocab", "says"),
    [
        ({c: i for i, c in enumerate(byte_alphabet()[:250])}, "no entry for 6 of the 256 bytes"),
        ({c: i + (i > 9) for i, c in enumerate(byte_alphabet())}, "257 entries from 0 to 256"),
        ({c: i + 9 * (i > 9) for i, c in enumerate(byte_alphabet())}, "257 entries from 0 to"),
    ],
)
def test_gpt2_files_that_lack_bytes_or_numbers(
    tmp_path: Path, vocab: dict[str, int], says: str
) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    names = {"vocab": str(tmp_path / "vocab.json"), "merges": str(tmp_path / "merges.txt")}
    with pytest.raises(UserError, match=rf"vocab\.json .*{says}"):
        trained(Gpt2Tokenizer(**names))
