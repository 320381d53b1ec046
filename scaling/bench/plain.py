"""The yardstick: a plain GPT in plain PyTorch, fp32 and eager, with torch's own AdamW.

It is what one would write first: no member axis, no bf16, nothing fused by hand. Same shapes, same
sums as our baseline: pre-norm RMSNorm, rotary positions, SwiGLU, tied embeddings. On a card its
products are in TF32, which `precision: auto` allows the process.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class PlainBlock(nn.Module):
    """Attention and feedforward on `[B, T, C]`."""

    def __init__(self, width: int, heads: int, d_ff: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width), nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, d_ff, bias=False)
        self.up = nn.Linear(width, d_ff, bias=False)
        self.down = nn.Linear(d_ff, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """One block."""
        batch, length, width = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        hidden = self.norm2(x)
        return x + self.down(F.silu(self.gate(hidden)) * self.up(hidden))


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on `[B, H, T, d]`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


class PlainGPT(nn.Module):
    """The whole model; `forward` returns the mean cross-entropy."""

    def __init__(
        self, *, vocab: int, width: int, layers: int, heads: int, d_ff: int, context: int
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(PlainBlock(width, heads, d_ff) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        dim = width // heads
        angles = torch.arange(context)[:, None] * 10_000.0 ** (-torch.arange(0, dim, 2) / dim)
        self.cos, self.sin = nn.Buffer(angles.cos()), nn.Buffer(angles.sin())

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """Ids and targets `[B, T]` to the mean loss."""
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.norm(x) @ self.embedding.weight.T
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class PlainLoop:
    """Train the plain model, a step a call."""

    def __init__(self, model: PlainGPT, lr: float = 1e-3) -> None:
        self.model = model
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.95))

    def step(self, ids: Tensor, targets: Tensor) -> None:
        """Forward, backward, clip, update."""
        loss = self.model(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
