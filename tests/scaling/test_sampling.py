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
from scaling.runtime import resolve
from scaling.sampling import SamplingSettings, draw, generate
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
