"""How the next token is drawn, and what a user may ask of it."""

import math

import pytest
import torch

from scaling.errors import UserError
from scaling.sampling import SamplingSettings, draw


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
