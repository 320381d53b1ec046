"""Steps of equally many tokens, with their contexts."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from scaling.adapt.stream import Row, Stream, Text, batch, whole
from tests.scaling.trained_run import byte_tokenizer

TEXTS = st.lists(st.tuples(st.integers(2, 30), st.integers(1, 5)), min_size=1, max_size=5)


def made(shapes: list[tuple[int, int]]) -> list[Text]:
    """Texts whose ids tell where they stand: 100 a text."""
    return [
        Text(tuple(range(100 * i, 100 * i + n)), min(start, n - 1))
        for i, (n, start) in enumerate(shapes)
    ]


@given(TEXTS, st.integers(1, 40), st.integers(0, 5))
def test_every_step_predicts_its_tokens_and_every_epoch_each_once(
    shapes: list[tuple[int, int]], tokens: int, seed: int
) -> None:
    texts = made(shapes)
    stream = Stream(texts, tokens, seed)
    predicted: list[int] = []
    for step in range(8):
        rows = stream.rows(step)
        assert sum(len(row.ids) - row.start for row in rows) == tokens
        for row in rows:
            (text,) = [text for text in texts if text.ids[0] == row.ids[0]]
            assert row.ids == text.ids[: len(row.ids)]  # its context, whole
            assert row.start >= text.start
            predicted += row.ids[row.start :]
    epoch = [i for text in texts for i in text.ids[text.start :]]
    for at in range(0, len(predicted) - len(epoch) + 1, len(epoch)):
        assert sorted(predicted[at : at + len(epoch)]) == sorted(epoch)


def test_a_batch_has_the_targets_that_rows_predict() -> None:
    rows = [[Row((5, 6, 7, 8), 2)], [Row((1, 2), 1), Row((3, 4, 5), 1)]]
    inputs, targets = batch(rows, torch.device("cpu"))
    assert inputs.shape == targets.shape == (2, 2, 3)
    assert targets.tolist() == [
        [[-100, 7, 8], [-100, -100, -100]],
        [[2, -100, -100], [4, 5, -100]],
    ]
    assert inputs[0, 0].tolist() == [5, 6, 7]


def test_a_text_that_outgrows_the_context_is_predicted_in_pieces() -> None:
    tokenizer = byte_tokenizer()
    pieces = whole(tokenizer, "abcdefghij", 4)
    ids = [tokenizer.eot, *tokenizer.encode("abcdefghij"), tokenizer.eot]
    assert [i for piece in pieces for i in piece.ids[piece.start :]] == ids[1:]
    assert all(len(piece.ids) <= 5 for piece in pieces)
