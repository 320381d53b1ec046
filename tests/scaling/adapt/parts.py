"""A small trained model to adapt, drawn at random, with its data."""

import torch

from scaling.config import RunConfig, RuntimeConfig
from scaling.model.decoder import Decoder
from scaling.runtime import Runtime, resolve

RUNTIME: Runtime = resolve(RuntimeConfig(device="cpu", precision="fp32"))
VOCABULARY = 64


def random_model(config: RunConfig, *, members: int = 1, seed: int = 0) -> Decoder:
    """A decoder whose weights are drawn, well away from zero."""
    torch.manual_seed(seed)
    model = Decoder(
        config.model,
        vocab_size=VOCABULARY,
        context_length=config.data.context_length,
        members=members,
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.0, 0.2)
            if parameter.ndim == 2:  # gains and biases
                parameter.add_(0.5)
    return model
