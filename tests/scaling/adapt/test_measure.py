"""What members know: the same as of each alone."""

import math

import pytest
import torch

from scaling.adapt.inner import copies
from scaling.adapt.measure import knowledge, row_log_p, text_loss
from scaling.adapt.stream import Row
from scaling.evaluation import Evaluation
from scaling.model.decoder import Decoder
from scaling.prompts.answer import AskSettings, ask
from scaling.prompts.item import Item, PromptSet
from scaling.scoring import Stretch, log_probabilities
from tests.scaling.trained_run import byte_tokenizer
from tests.variants import tiny_config

TOKENIZER = byte_tokenizer()
QUESTIONS = [
    Item(id="a", category="x", prompt="The cat", answers=("sat",), choices=("ran", "flew away")),
    Item(id="b", category="x", prompt="A dog", answers=("ran",), choices=("sang",)),
]


def two() -> Decoder:
    """Two different members over bytes."""
    config = tiny_config("--data.context_length 64")
    model = Decoder(config.model, vocab_size=TOKENIZER.vocab_size, context_length=64, members=2)
    model.init_weights([1, 2])
    with torch.no_grad():
        model.embedding.weight.mul_(20)
    return model


def member(model: Decoder, k: int) -> Decoder:
    config = tiny_config("--data.context_length 64")
    one = Decoder(config.model, vocab_size=TOKENIZER.vocab_size, context_length=64)
    with torch.no_grad():
        for own, every in zip(one.parameters(), model.parameters(), strict=True):
            own[0].copy_(every[k])
    return one


def test_rows_have_the_probabilities_that_scoring_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two()
    rows = [[Row((1, 2, 3, 4), 1), Row((9, 8, 7), 2)], [Row((4, 4, 4, 4, 5), 3)]]
    whole = row_log_p(model, rows)
    monkeypatch.setattr("scaling.adapt.measure.LOGITS", 1)  # a row at a time
    parts = row_log_p(model, rows)
    for k, own in enumerate(rows):
        stretches = [Stretch(row.ids, row.start) for row in own]
        expected = [float(p.sum()) for p in log_probabilities(member(model, k), stretches)]
        assert whole[k].tolist() == pytest.approx(expected, abs=1e-4)
        assert parts[k].tolist() == pytest.approx(expected, abs=1e-4)


def test_each_member_is_asked_its_own_questions() -> None:
    model = two()
    general = [Evaluation(1.0, 1.0, 1), Evaluation(2.0, 1.0, 1)]
    found = knowledge(model, TOKENIZER, ["the end", "a cat"], [QUESTIONS, QUESTIONS[:1]], general)
    assert [one.general for one in found] == [1.0, 2.0]
    for k, questions in enumerate([QUESTIONS, QUESTIONS[:1]]):
        answers = ask(
            member(model, k), TOKENIZER, PromptSet(name="", items=tuple(questions)), AskSettings()
        )
        assert found[k].accuracy == sum(a.passed for a in answers) / len(answers)
        p = [a.p_right for a in answers if a.p_right is not None]
        assert found[k].p_right == pytest.approx(sum(p) / len(p), abs=1e-4)


def test_a_model_of_no_knowledge_has_the_loss_of_its_vocabulary() -> None:
    model = copies(member(two(), 0), 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    losses = text_loss(model, TOKENIZER, [["abc"], ["d", "e" * 200], ["f"]])
    assert losses == pytest.approx([math.log(TOKENIZER.vocab_size)] * 3)
