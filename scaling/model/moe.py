"""Mixture of experts: each token goes to a few of many feedforwards."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.config import MixtureOfExperts, ModelConfig
from scaling.model.feedforward import activate, first_sections
from scaling.model.layers import ExpertLinear, Linear


@dataclass(frozen=True)
class Routing:
    """What the routers of a pass report."""

    penalty: Tensor  # [M]: weighted auxiliary losses, summed over tokens as the loss is
    figures: Tensor  # [M, F], without gradient; `figure_names` says what


class SparseFeedforward(nn.Module):
    """Top-k routing with a capacity, after GShard (arXiv:2006.16668) and Switch (2101.03961).

    A sequence is a group of its own: in training an expert takes at most `capacity` of its
    choices, in the order of the tokens (a token's likelier expert first), and drops the rest,
    which pass by on the residual stream. So routing is causal, and knows of no other sequence: a
    micro-batch of any size gives the same. Out of training nothing is dropped.

    The chosen experts' probabilities, made to sum to one where there are several, weigh what they
    give.
    """

    def __init__(self, members: int, config: ModelConfig, moe: MixtureOfExperts) -> None:
        super().__init__()
        self.moe, width = moe, config.d_ff
        sections = first_sections(moe.activation, width)
        self.router = Linear(members, config.d_model, moe.n_experts)
        self.up = ExpertLinear(
            members,
            moe.n_experts,
            config.d_model,
            sum(sections),
            bias=config.bias,
            sections=sections,
        )
        self.down = ExpertLinear(
            members, moe.n_experts, width, config.d_model, bias=config.bias, residual=True
        )

    def capacity(self, length: int) -> int:
        """Choices that an expert takes of a sequence of `length` tokens in training."""
        even = self.moe.top_k * length / self.moe.n_experts
        return min(length, math.ceil(self.moe.capacity_factor * even))

    def _enough(self, taken: Tensor) -> int:
        """Room for all choices `[M, B, T k, E]`; as large as can be where a compiler asks."""
        if torch.compiler.is_compiling():
            return taken.shape[2] // self.moe.top_k
        return int(taken.sum(dim=2).max())

    def forward(self, x: Tensor, training: bool = False) -> tuple[Tensor, Routing]:
        """`[M, B, T, C]` to the same, and what the router reports."""
        members, batch, length, width = x.shape
        experts, top = self.moe.n_experts, self.moe.top_k
        logits = self.router(x.float())
        p = torch.softmax(logits, dim=-1)
        likeliest = p.topk(top, dim=-1)
        gates = likeliest.values
        if top > 1:  # of a single one the share would be 1, and the router would learn nothing
            gates = gates / gates.sum(-1, keepdim=True)
        chosen = likeliest.indices.flatten(2)  # [M, B, T k], token by token
        # As `one_hot`, which on a CPU looks at every index first.
        taken = (chosen.unsqueeze(-1) == torch.arange(experts, device=x.device)).long()
        ahead = (taken.cumsum(dim=2) - 1).gather(-1, chosen.unsqueeze(-1)).squeeze(-1)
        room = self.capacity(length) if training else self._enough(taken)
        kept = ahead < room

        # A slot is a place in an expert; each holds the number of its token, or of a row of zeros.
        rows = batch * length
        place = chosen * (batch * room) + ahead
        place = place + torch.arange(batch, device=x.device).view(1, -1, 1) * room
        place = torch.where(kept, place, experts * batch * room).flatten(1)  # the last is none
        token = torch.arange(rows, device=x.device).repeat_interleave(top).expand(members, -1)
        slots = x.new_full((members, experts * batch * room + 1), rows, dtype=torch.long)
        slots = slots.scatter(1, place, token)[:, :-1]
        inputs = _pick(torch.cat([x.flatten(1, 2), x.new_zeros(members, 1, width)], 1), slots)
        hidden = activate(self.moe.activation, self.up(inputs.view(members, experts, -1, width)))
        given = self.down(hidden).flatten(1, 2)
        given = torch.cat([given, given.new_zeros(members, 1, width)], 1)
        back = _pick(given, place).view(members, batch, length, top, width)
        out = (back * gates.to(x.dtype).unsqueeze(-1)).sum(dim=3)
        return out, self._report(logits, p, taken, kept)

    def _report(self, logits: Tensor, p: Tensor, taken: Tensor, kept: Tensor) -> Routing:
        experts, length = self.moe.n_experts, p.shape[2]
        load = taken.float().mean(dim=2)  # [M, B, E], a share of the choices
        balance = experts * (load * p.mean(dim=2)).sum(-1)  # 1 where all is even
        z = logits.logsumexp(-1).square().mean(-1)
        penalty = length * (self.moe.aux_loss * balance + self.moe.z_loss * z).sum(dim=1)
        with torch.no_grad():
            dropped = 1 - kept.float().mean(dim=(1, 2))
            entropy = -(p * p.clamp_min(1e-20).log()).sum(-1).mean(dim=(1, 2))
            figures = torch.cat([load.mean(dim=1), dropped[:, None], entropy[:, None]], dim=1)
        return Routing(penalty, figures)

    def flops_per_token(self, context: int) -> int:
        """Forward FLOPs for one token in training: the experts' whole capacity, full or not."""
        rows = self.moe.n_experts * self.capacity(context)
        experts = rows * (self.up.flops_per_row() + self.down.flops_per_row())
        return self.router.flops_per_token() + round(experts / context)

    def idle_parameters(self) -> int:
        """Parameters of one member that a token does not meet."""
        own = [p for layer in (self.up, self.down) for p in layer.parameters()]
        idle = self.moe.n_experts - self.moe.top_k
        return sum(p[0].numel() for p in own) * idle // self.moe.n_experts


def figure_names(moe: MixtureOfExperts) -> list[str]:
    """The metrics of `Routing.figures`: each expert's share of the choices, the share of choices
    dropped, and the mean entropy of a token's probabilities in nats."""
    loads = [f"moe/load/{expert}" for expert in range(moe.n_experts)]
    return [*loads, "moe/dropped", "moe/router_entropy"]


def _pick(rows: Tensor, which: Tensor) -> Tensor:
    """`rows [M, R, C]` at `which [M, S]`: `[M, S, C]`, each member from its own."""
    offsets = torch.arange(rows.shape[0], device=rows.device)[:, None] * rows.shape[1]
    return rows.flatten(0, 1)[(which + offsets).flatten()].view(*which.shape, -1)
