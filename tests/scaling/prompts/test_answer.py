"""A model asked: probabilities against the plain sum, writing against plain sampling."""

import math
from typing import Any

import pytest
import torch

from scaling.data.tokenizer import Tokenizer
from scaling.model.decoder import Decoder
from scaling.prompts.answer import CUT, AskSettings, ask, choice, joined
from scaling.prompts.item import Item, PromptSet
from scaling.sampling import SamplingSettings, continue_ids, generate
from scaling.scoring import Stretch, log_probabilities
from tests.scaling.trained_run import byte_tokenizer
from tests.variants import tiny_config


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return byte_tokenizer()


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Decoder:
    config = tiny_config("--data.context_length 32")
    model = Decoder(config.model, vocab_size=tokenizer.vocab_size, context_length=32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return model


def _item(**fields: Any) -> Item:
    given = {"id": "a", "category": "c", "prompt": "One", "answers": ["two"], **fields}
    return Item.model_validate(given)


def _set(*items: Item) -> PromptSet:
    return PromptSet(name="set", items=items)


def test_log_probabilities_are_those_of_one_text_at_a_time(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    texts = ["a", "the cat sat", "on the mat and ran away"]
    stretches = [Stretch([0, *tokenizer.encode(text)], 1 + i) for i, text in enumerate(texts)]
    for stretch, found in zip(stretches, log_probabilities(model, stretches), strict=True):
        ids = torch.tensor(stretch.ids)
        with torch.no_grad():
            logs = model(ids[None, None, :-1])[0, 0].log_softmax(-1)
        expected = logs.gather(-1, ids[1:, None])[stretch.start - 1 :, 0]
        torch.testing.assert_close(found, expected)


def test_a_text_longer_than_the_context_is_read_in_windows(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    ids = [0, *tokenizer.encode("the cat sat on the mat and " * 5)]
    (found,) = log_probabilities(model, [Stretch(ids, 1)])
    assert len(found) == len(ids) - 1 and bool((found < 0).all())
    whole = torch.tensor(ids)
    with torch.no_grad():  # the first window sees all there is before it
        first = model(whole[None, None, :32])[0, 0].log_softmax(-1).gather(-1, whole[1:33, None])
    torch.testing.assert_close(found[:32], first[:, 0])
    with torch.no_grad():  # a later one what is left of it: at least half a window
        begin = 33 - 16
        logs = model(whole[None, None, begin : begin + 32])[0, 0].log_softmax(-1)
    torch.testing.assert_close(found[32], logs[33 - 1 - begin, whole[33]])


def test_the_likeliest_choice_is_taken(model: Decoder, tokenizer: Tokenizer) -> None:
    options = ["two", "three", "a dog"]
    sums = []
    for option in options:
        bare, whole = tokenizer.encode("One"), tokenizer.encode(f"One {option}")
        stretch = Stretch([0, *whole], 1 + len(bare))
        sums.append(float(log_probabilities(model, [stretch])[0].sum()))
    best = options[sums.index(max(sums))]
    for right in options:
        item = _item(answers=[right], choices=options)
        (answer,) = ask(model, tokenizer, _set(item), AskSettings())
        assert answer.text == best and answer.passed == (right == best)
        expected = torch.tensor(sums).softmax(0)[options.index(right)]
        assert answer.p_right == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize(
    ("prompt", "longest", "kept"),
    [
        ("She saw a cat", "dog", 14),  # all of it, and the end of the text before it
        ("In a big red house by the sea she", "dog", 29),  # and " dog", whose last is no input
        ("Once upon a time, in", "a small white house", 16),  # half the context
    ],
)
def test_all_options_are_read_after_the_same_text_as_much_as_fits(
    model: Decoder, tokenizer: Tokenizer, prompt: str, longest: str, kept: int
) -> None:
    item = _item(prompt=prompt, answers=["I"], choices=[longest])
    given = [0, *tokenizer.encode(prompt)][-kept:]
    sums = []
    for option in item.options:
        ids = torch.tensor([*given, *tokenizer.encode(f" {option}")])
        total = 0.0
        for place in range(len(given), len(ids)):
            before = ids[:place] if place <= 32 else ids[33 - 16 : place]
            with torch.no_grad():
                total += float(model(before[None, None])[0, 0, -1].log_softmax(-1)[ids[place]])
        sums.append(total)
    (answer,) = ask(model, tokenizer, _set(item), AskSettings())
    assert answer.log_p == pytest.approx(sums[0], rel=1e-4)
    assert answer.p_right == pytest.approx(float(torch.tensor(sums).softmax(0)[0]), rel=1e-3)
    assert answer.remark == ("" if kept == 1 + len(tokenizer.encode(prompt)) else CUT)


def test_a_prompt_longer_than_the_context_is_one_end_of_it_for_the_whole_answer(
    model: Decoder, tokenizer: Tokenizer
) -> None:
    prompt = "In a big red house by the sea she saw"
    item = _item(prompt=prompt, answers=["x"], max_tokens=9)
    (answer,) = ask(model, tokenizer, _set(item), AskSettings())
    ids = torch.tensor([tokenizer.encode(prompt)[-(32 - 9) :]])
    stream = torch.Generator()
    (whole,) = continue_ids(model, ids, SamplingSettings(9, 0), [stream], 0, cached=False)
    assert answer.text == tokenizer.decode(whole)
    assert answer.remark == CUT
    (short,) = ask(model, tokenizer, _set(_item(prompt=prompt[:15])), AskSettings())
    assert short.remark == ""


@pytest.mark.parametrize(
    ("logs", "text", "passed", "p_right"),
    [
        ([-1.0, -2.0, -2.0], "two", True, 1 / (1 + 2 / math.e)),
        ([-1.0, -1.0, -2.0], "red", False, 1 / (2 + 1 / math.e)),  # a tie is no answer
        ([math.nan, math.nan, math.nan], "", False, None),
        ([-1.0, -2.0, math.nan], "", False, None),
        ([-math.inf, -math.inf, -math.inf], "", False, None),
    ],
)
def test_a_choice_passes_where_the_right_one_is_the_likeliest(
    logs: list[float], text: str, passed: bool, p_right: float | None
) -> None:
    answer = choice(_item(choices=["red", "blue"]), logs)
    assert (answer.text, answer.passed) == (text, passed)
    assert answer.p_right == (None if p_right is None else pytest.approx(p_right))


def test_answers_do_not_depend_on_what_else_is_asked(model: Decoder, tokenizer: Tokenizer) -> None:
    items = [
        _item(id=f"i{i}", prompt="One day" + " the cat" * (i % 3), answers=["a"], max_tokens=6)
        for i in range(7)
    ]
    settings = AskSettings(temperature=1.0, num_samples=2, seed=5)
    together = ask(model, tokenizer, _set(*items), settings)
    assert [a.item.id for a in together] == [i.id for i in items for _ in range(2)]
    for item in items:
        alone = ask(model, tokenizer, _set(item), settings)
        assert [a.text for a in alone] == [a.text for a in together if a.item.id == item.id]
    again = ask(model, tokenizer, _set(*items), AskSettings(temperature=1.0, seed=6))
    assert [a.text for a in again] != [a.text for a in together][::2]


def test_writing_is_plain_sampling_cut_at_its_stop(model: Decoder, tokenizer: Tokenizer) -> None:
    (text,) = generate(model, tokenizer, ["One"], SamplingSettings(8, temperature=0))
    item = _item(max_tokens=8, answers=["x"])
    (answer,) = ask(model, tokenizer, _set(item), AskSettings())
    assert answer.text == text
    stop = text[3]
    (cut,) = ask(model, tokenizer, _set(_item(max_tokens=8, stop=[stop])), AskSettings())
    assert cut.text == text.split(stop)[0]


def test_a_hanging_pattern_is_no_pass_and_said_so(
    model: Decoder, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scaling.prompts.match.SECONDS", 0.05)
    monkeypatch.setattr("scaling.prompts.answer.continue_ids", _many_a(tokenizer))
    item = _item(match="regex", answers=["(a|aa)+$"])
    (answer,) = ask(model, tokenizer, _set(item), AskSettings())
    assert not answer.passed and "time limit" in answer.remark


def _many_a(tokenizer: Tokenizer) -> Any:
    return lambda *_, **__: [tokenizer.encode("a" * 60 + "b")]


@pytest.mark.parametrize(
    ("prompt", "option", "whole"),
    [
        ("The cow said", "moo", "The cow said moo"),
        ('The cow said "', "Moo", 'The cow said "Moo'),
        ('"Hi," she said. "Yes," said', "Tom", '"Hi," she said. "Yes," said Tom'),
        ('She said "no"', "and", 'She said "no" and'),
        ("It is ", "red", "It is red"),
        ("It is red", ", too", "It is red, too"),
        ("3 - 5 =", "-2", "3 - 5 = -2"),
        ("It cost", "$5", "It cost $5"),
        ("The cow said", '"Moo"', 'The cow said "Moo"'),
        ("The cow said", "“Moo”", "The cow said “Moo”"),
        ("She said", "(softly)", "She said (softly)"),
        ('The cow said "Moo', '"', 'The cow said "Moo"'),
        ("The cow said “", "Moo", "The cow said “Moo"),
        ("The cow (", "or ox)", "The cow (or ox)"),
        ("It was Tom", "'s", "It was Tom's"),
        ("It is red", "\nand", "It is red\nand"),
        ("小明去了", "学校", "小明去了学校"),
        ("彼は「", "はい", "彼は「はい"),
        ("우리는", "학교", "우리는 학교"),
    ],
)
def test_joined(prompt: str, option: str, whole: str) -> None:
    assert joined(prompt, option) == whole
