"""How the next token is drawn, and what a user may ask of it."""

import json
import math
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from scaling.commands.generate import generate as command
from scaling.config import RuntimeConfig
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, continue_ids, draw, generate, given
from scaling.trained import of_run
from tests.scaling.trained_run import byte_tokenizer, make_run
from tests.variants import tiny_config


@pytest.mark.parametrize("temperature", [math.nan, math.inf, -0.1])
def test_a_temperature_is_a_number_from_nought(temperature: float) -> None:
    with pytest.raises(UserError, match=r"temperature is .*, but it is a number from 0 on"):
        SamplingSettings(temperature=temperature)


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 5e-324])
def test_next_to_no_temperature_takes_the_likeliest(temperature: float) -> None:
    logits = torch.tensor([[1.0, 30.0, -2.0], [-1.0, -3.0, -0.5]])
    streams = [torch.Generator().manual_seed(i) for i in range(2)]
    settings = SamplingSettings(temperature=temperature)
    assert draw(logits, settings, streams).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("p", "temperature", "top_k", "top_p", "drawn"),
    [
        ((0.5, 0.3, 0.15, 0.05), 1, None, None, {0, 1, 2, 3}),
        ((0.5, 0.3, 0.15, 0.05), 1, 2, None, {0, 1}),
        ((0.05, 0.3, 0.15, 0.5), 1, 2, None, {1, 3}),
        ((0.5, 0.3, 0.15, 0.05), 1, None, 0.6, {0, 1}),
        ((0.05, 0.3, 0.15, 0.5), 1, None, 0.6, {1, 3}),
        ((0.5, 0.3, 0.15, 0.05), 1, None, 0.49, {0}),
        ((0.5, 0.3, 0.15, 0.05), 1, 2, 0.6, {0}),  # .625 and .375 are left by top-k
        ((0.5, 0.3, 0.15, 0.05), 2, None, 0.5, {0, 1}),  # .38, .29, .21 and .12 by temperature
    ],
)
def test_draws_are_of_the_likeliest_by_temperature_then_top_k_then_top_p(
    p: tuple[float, ...],
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    drawn: set[int],
) -> None:
    logits = torch.tensor(p).log().expand(300, -1)
    streams = [torch.Generator().manual_seed(i) for i in range(300)]
    settings = SamplingSettings(temperature=temperature, top_k=top_k, top_p=top_p)
    assert set(draw(logits, settings, streams).tolist()) == drawn


@pytest.mark.parametrize("k", [1, 2])
def test_top_k_is_so_many_where_some_are_alike(k: int) -> None:
    logits = torch.tensor([2.0, 3.0, 3.0, 3.0]).expand(300, -1)
    streams = [torch.Generator().manual_seed(i) for i in range(300)]
    drawn = draw(logits, SamplingSettings(temperature=1, top_k=k, top_p=None), streams)
    assert len(set(drawn.tolist())) == k


def test_a_prompt_that_is_no_text_is_said_to_be_none() -> None:
    with pytest.raises(UserError, match="is not valid Unicode"):
        byte_tokenizer().encode(b"caf\xe9".decode(errors="surrogateescape"))


def test_spaces_at_the_end_of_a_prompt_are_the_texts_own(workplace: Path) -> None:
    run = make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    model, tokenizer = of_run(run).load(resolve(RuntimeConfig()))
    bare, spaced = (
        generate(model, tokenizer, [prompt], SamplingSettings(9))
        for prompt in ("One day", "One day  ")
    )
    assert bare == spaced
    words = ["tiny", "--max-tokens", "9", "--prompt", "One day "]
    told = CliRunner().invoke(command, words, catch_exceptions=False).stdout
    assert told == f"One day{bare[0]}\n"
    done = CliRunner().invoke(command, [*words, "--json"], catch_exceptions=False)
    assert json.loads(done.stdout) == [{"prompt": "One day", "text": bare[0]}]


def test_of_a_prompt_longer_than_the_context_one_end_is_read_and_that_is_said(
    workplace: Path,
) -> None:
    run = make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())
    model, tokenizer = of_run(run).load(resolve(RuntimeConfig()))
    context = model.context_length
    prompt = "".join(chr(97 + i * i % 26) for i in range(context + 9))
    settings = SamplingSettings(max_tokens=4)
    written = generate(model, tokenizer, [prompt], settings)
    ids = torch.tensor([tokenizer.encode(prompt)[-(context - 4) :]])
    stream = torch.Generator().manual_seed(0)
    (new,) = continue_ids(model, ids, settings, [stream], tokenizer.eot, cached=True)
    assert written == [tokenizer.decode(new)]
    words = ["tiny", "--max-tokens", "4", "--prompt", prompt]
    done = CliRunner().invoke(command, words, catch_exceptions=False)
    assert done.stdout == f"{prompt}{written[0]}\n"
    assert f"of {context + 10} tokens: the model is given the end of it" in done.stderr


def test_a_prompt_that_would_outgrow_the_context_gives_way_before_it_is_answered() -> None:
    settings = SamplingSettings(max_tokens=16)
    assert [given(n, settings, 64) for n in (49, 50, 64, 90)] == [49, 48, 48, 48]
    long = SamplingSettings(max_tokens=100)  # which outgrows the context in any case
    assert [given(n, long, 64) for n in (40, 64, 65)] == [40, 64, 32]


def test_sampling_keeps_nothing_for_a_backward_pass() -> None:
    model = Decoder(tiny_config("").model, vocab_size=64, context_length=16)
    model.init_weights([0])
    seen = []
    hook = model.embedding.register_forward_hook(lambda *told: seen.append(told[-1]))
    streams = [torch.Generator().manual_seed(0)]
    ids = torch.zeros(1, 4, dtype=torch.int64)
    continue_ids(model, ids, SamplingSettings(max_tokens=3), streams, eot=-1, cached=True)
    hook.remove()
    assert len(seen) == 3 and not any(one.requires_grad for one in seen)


def test_a_top_k_of_nought_is_no_limit(workplace: Path) -> None:
    make_run(Path("runs"), tiny_config("--name tiny"), byte_tokenizer())

    def told(*words: str) -> str:
        given = ["tiny", "--max-tokens", "30", "--temperature", "2", "--top-p", "1", *words]
        return CliRunner().invoke(command, given, catch_exceptions=False).stdout

    every = byte_tokenizer().vocab_size
    assert told("--top-k", "0") == told("--top-k", str(every)) != told()
