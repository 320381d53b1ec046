"""Quality at equal cost: how long until a recipe reaches the loss that nanoGPT's ends with?

`python -m scaling.bench.quality TRAIN VALIDATION` trains, one after another in one process, the
plain loop with nanoGPT's recipe at several learning rates, and then configs at falling budgets,
all on the same packed tokens, judged on the whole validation split. `seconds` are of
steps alone.
"""

import json
import math
import time
from collections.abc import Sequence
from typing import Any

import click
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.config import RunConfig
from scaling.data.batches import Batches, evaluation_batches
from scaling.data.packed import PackedSplit
from scaling.data.prepare import PreparedData, prepare
from scaling.recipes import load_config
from scaling.training import train

CONTEXT, VOCABULARY, WIDTH, LAYERS, HEADS = 256, 4096, 128, 4, 4
BATCH, WARMUP, LAST_RATE = 12, 100, 0.1  # of nanoGPT's small recipes, on a CPU
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)  # its 1e-3, and on by factors of two
TOKENS = 1_600_000
BUDGETS = {"modern": (400_000, 340_000, 280_000), "baseline": (1_600_000, 800_000)}


class NanoBlock(nn.Module):
    """Pre-norm attention and GELU feedforward on `[B, T, C]`."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.up = nn.Linear(WIDTH, 4 * WIDTH, bias=False)
        self.down = nn.Linear(4 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, HEADS, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class NanoGPT(nn.Module):
    """GPT-2's shape as nanoGPT trains it: learned positions, tied head, no biases."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(NanoBlock() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                last = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * LAYERS) if last else 0.02)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Ids and targets `[B, T]` to the mean loss in nats per token."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x) @ self.tokens.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def nanogpt(data: PreparedData, rate: float, seed: int) -> dict[str, Any]:
    """Train the plain loop for `TOKENS` tokens: AdamW .9 and .95, decay .1, clip 1, cosine.

    Returns the whole validation split's loss, in nats per token, and the seconds of the steps.
    """
    torch.manual_seed(seed)
    model = NanoGPT()
    weights = list(model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in weights if p.ndim == 2], "weight_decay": 0.1},
        {"params": [p for p in weights if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))
    batches = Batches(data.train.tokens_array(), CONTEXT, BATCH, seed, device=torch.device("cpu"))
    steps = TOKENS // (BATCH * CONTEXT)
    start = time.perf_counter()
    for step in range(steps):
        progress = max(0.0, (step - WARMUP) / (steps - WARMUP))
        fall = LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = rate * min((step + 1) / (WARMUP + 1), fall)
        loss = model(*batches.batch(step))
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    seconds = time.perf_counter() - start
    return {
        "recipe": "nanogpt",
        "lr": rate,
        "tokens": steps * BATCH * CONTEXT,
        "loss": _loss(model, data.validation),
        "seconds": seconds,
    }


@torch.no_grad()
def _loss(model: NanoGPT, split: PackedSplit) -> float:
    """Nats per token over the whole split, as the evaluation of our runs counts them."""
    total, tokens = 0.0, 0
    for ids, targets in evaluation_batches(split.tokens_array(), CONTEXT, 16):
        counted = int((targets >= 0).sum())
        total += float(model(ids, targets)) * counted
        tokens += counted
    return total / tokens


def ours(recipe: str, corpus: Sequence[str], tokens: int, seed: int) -> dict[str, Any]:
    """Train a config for so many tokens; the loss, and the seconds of its steps and of all."""
    config = _config(recipe, corpus, tokens, seed)
    (result,) = train([config], say=lambda text: None, progress=lambda trainer: None)
    summary = result.summary
    return {
        "recipe": recipe,
        "tokens": summary["tokens"],
        "loss": summary["final_val_loss"],
        "seconds": summary["tokens"] / summary["final_tokens_per_second"],
        "wall_seconds": summary["final_wall_seconds"],
    }


def _config(recipe: str, corpus: Sequence[str], tokens: int, seed: int) -> RunConfig:
    fields = {
        "data.context_length": CONTEXT,
        "data.tokenizer.vocab_size": VOCABULARY,
        "budget.tokens": tokens,
        "seed": seed,
        "evaluation.every": "null",
        "runtime.device": "cpu",  # as the plain loop
    }
    words = [word for name, value in fields.items() for word in (f"--{name}", str(value))]
    return load_config(recipe, [*corpus, *words])


@click.command()
@click.argument("train_text", metavar="TRAIN")
@click.argument("validation_text", metavar="VALIDATION")
@click.option("--seed", default=1, show_default=True)
def main(train_text: str, validation_text: str, seed: int) -> None:
    """Print one line of JSON for each training."""
    corpus = ["--data.corpus.kind", "files", "--data.corpus.train", train_text]
    corpus += ["--data.corpus.validation", validation_text]
    data = prepare(_config("baseline", corpus, TOKENS, seed).data, say=lambda text: None)
    for rate in RATES:
        print(json.dumps(nanogpt(data, rate, seed)), flush=True)
    for recipe, budgets in BUDGETS.items():
        for tokens in budgets:
            print(json.dumps(ours(recipe, corpus, tokens, seed)), flush=True)


if __name__ == "__main__":
    main()
