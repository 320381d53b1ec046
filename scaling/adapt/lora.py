"""Low-rank adaptation on the member axis (Hu et al. 2021, arXiv:2106.09685).

Beside a frozen matrix W stands a product B A of rank r, scaled by alpha / r: `W x + (alpha / r) B
A x`. What is stacked as one weight (queries, keys and values; gate and value) gets a product for
each matrix of the stack, as the paper has it and `peft` makes it of a model with them apart.

Members may have different ranks: all are padded to the largest with zeros, whose gradients are
zero as well, so that each is what it would be alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from scaling.adapt.config import Lora
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.model.dropout import dropout, noise
from scaling.model.layers import ExpertLinear, Linear
from scaling.schema import nearest

Weights = dict[str, Tensor]
Adapted = Linear | ExpertLinear


@dataclass
class Draws:
    """Where dropout strikes now: nowhere out of training."""

    seeds: Sequence[int]
    step: int | None = None


class Product(nn.Module):
    """`scale B A x` beside one layer: `A [M, (E,) S, r, in]`, `B [M, (E,) out, r]`.

    S counts the matrices that the layer's weight is a stack of; a row of B meets its own matrix's
    A alone. E counts experts.
    """

    scale: Tensor

    def __init__(
        self, layer: Adapted, ranks: Sequence[int], alphas: Sequence[float], share: float,
        draws: Draws, site: int,
    ) -> None:  # fmt: skip
        super().__init__()
        *lead, d_out, d_in = layer.weight.shape
        self.sections, rank = layer.sections, max(ranks)
        device = layer.weight.device
        self.A = nn.Parameter(torch.zeros(*lead, len(self.sections), rank, d_in, device=device))
        self.B = nn.Parameter(torch.zeros(*lead, d_out, rank, device=device))
        factors = [a / r for a, r in zip(alphas, ranks, strict=True)]
        self.register_buffer("scale", torch.tensor(factors, device=device), persistent=False)
        # Where a token stands among an expert's rows is not its own affair: nothing is dropped
        # there, so that members do not feel each other.
        self.share = 0.0 if isinstance(layer, ExpertLinear) else share
        self.ranks, self.draws, self.site = list(ranks), draws, site

    @torch.no_grad()
    def draw(self, generators: Sequence[torch.Generator]) -> None:
        """A from U(-1/sqrt(in), 1/sqrt(in)), as `peft` draws it, B zero: nothing is added yet."""
        for k, generator in enumerate(generators):
            own = self.A[k]
            drawn = torch.empty(*own.shape[:-2], self.ranks[k], own.shape[-1])
            bound = 1 / math.sqrt(own.shape[-1])
            own.zero_()[..., : self.ranks[k], :] = drawn.uniform_(
                -bound, bound, generator=generator
            )
            self.B[k].zero_()

    def forward(self, x: Tensor) -> Tensor:
        """What is added for `x [M, B, T, in]` (or `[M, E, R, in]`), in its dtype."""
        shape = x.shape
        if self.share and self.draws.step is not None:
            keys = noise(self.draws.seeds, self.draws.step, 0, shape[1], x.device)
            x = dropout(x, self.share, keys, torch.tensor(self.site, dtype=torch.int32))
        leads = self.A.ndim - 3  # members; and experts, whose products are apart as well
        rows = x.reshape(math.prod(shape[:leads]), -1, shape[-1])
        a = self.A.to(x.dtype).flatten(-3, -2).reshape(len(rows), -1, shape[-1])
        b = self.B.to(x.dtype).reshape(len(rows), -1, self.B.shape[-1])
        scale = self.scale.to(x.dtype).repeat_interleave(len(rows) // len(self.scale))
        inner = torch.bmm(rows, a.transpose(1, 2)) * scale[:, None, None]
        parts = [
            torch.bmm(part, rows_of.transpose(1, 2))
            for part, rows_of in zip(
                inner.chunk(len(self.sections), dim=-1),
                torch.split(b, list(self.sections), dim=1),
                strict=True,
            )
        ]
        return torch.cat(parts, dim=-1).view(*shape[:-1], -1)

    def weight(self, k: int) -> Tensor:
        """What member k adds to its layer's weight: `[(E,) out, in]`, fp32."""
        heads = torch.split(self.B[k], list(self.sections), dim=-2)
        deltas = [b @ self.A[k][..., s, :, :] for s, b in enumerate(heads)]
        return self.scale[k] * torch.cat(deltas, dim=-2)


class Adapters:
    """The products of all members of a decoder, which is frozen but for them."""

    def __init__(self, model: Decoder, methods: Sequence[Lora], seeds: Sequence[int]) -> None:
        """Adapter k has the rank and alpha of `methods[k]` and starts from `seeds[k]`.

        The methods agree in targets and dropout.

        Raises:
            UserError: there is no such target, or a rank is above a matrix's.
        """
        assert len(methods) == len(seeds) == model.members
        self.model, self.methods = model, list(methods)
        first = methods[0]
        self.draws = Draws(list(seeds))
        ranks, alphas = [m.rank for m in methods], [m.alpha for m in methods]
        model.requires_grad_(False)
        self.products: dict[str, Product] = {}
        for name, layer in targeted(model, first.targets).items():
            check_rank(name, layer, max(ranks))
            site = 1000 + len(self.products)  # behind the sites of the model's own dropout
            product = Product(layer, ranks, alphas, first.dropout, self.draws, site)
            layer.add_module("lora", product)
            layer.register_forward_hook(_add)
            self.products[name] = product
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        for product in self.products.values():
            product.draw(generators)

    def parameters_of(self, k: int) -> int:
        """How many numbers member k trains."""
        return sum(
            self.methods[k].rank * (p.A[k, ..., 0, :].numel() + p.B[k, ..., 0].numel())
            for p in self.products.values()
        )

    def state(self, k: int) -> Weights:
        """Member k's adapter: `<layer>.A [(E,) S, r, in]` and `<layer>.B [(E,) out, r]`."""
        rank = self.methods[k].rank
        found = {}
        for name, product in self.products.items():
            found[f"{name}.A"] = product.A.detach()[k, ..., :rank, :].clone()
            found[f"{name}.B"] = product.B.detach()[k, ..., :rank].clone()
        return found

    @torch.no_grad()
    def load(self, k: int, state: Weights) -> None:
        """Put an adapter into member k.

        Raises:
            UserError: it is one for another shape.
        """
        rank = self.methods[k].rank
        own = {f"{name}.{side}" for name in self.products for side in "AB"}
        if own != set(state):
            odd = sorted(own ^ set(state))[0]
            whose = "the model's targets" if odd in own else "the adapter"
            raise UserError(f"the adapter is for another model: only {whose} have {odd}.")
        for name, product in self.products.items():
            for side, whole in (
                ("A", product.A[k, ..., :rank, :]),
                ("B", product.B[k, ..., :rank]),
            ):
                given = state[f"{name}.{side}"]
                if given.shape != whole.shape:
                    raise UserError(
                        f"the adapter is for another shape: its {name}.{side} is"
                        f" {list(given.shape)}, and this model's is {list(whole.shape)}."
                    )
                whole.copy_(given)

    @torch.no_grad()
    def merged(self, k: int) -> Weights:
        """Member k's weights with its products added: those of a plain decoder, fp32."""
        weights = {
            name: p.detach()[k].clone()
            for name, p in self.model.named_parameters()
            if ".lora." not in name
        }
        for name, product in self.products.items():
            weights[f"{name}.weight"] += product.weight(k)
        return weights


def _add(layer: nn.Module, given: tuple[Tensor], out: Tensor) -> Tensor:
    product = layer.get_submodule("lora")
    return out + product(given[0])


def targeted(model: Decoder, targets: Sequence[str]) -> dict[str, Adapted]:
    """The layers that targets mean, by their path in the model.

    Raises:
        UserError: a target means none.
    """
    layers = {
        name: module
        for name, module in model.named_modules()
        if name.startswith("blocks.") and isinstance(module, Linear | ExpertLinear)
    }
    found: dict[str, Adapted] = {}
    for target in targets:
        # A router chooses among feedforwards and is none; it is meant by its own name alone.
        meant = {
            name: layer
            for name, layer in layers.items()
            if (own := name.split(".", 2)[2]) == target
            or (own.startswith(f"{target}.") and not own.endswith(".router"))
        }
        if not meant:
            names = sorted({name.split(".", 2)[2] for name in layers})
            close = nearest(target, ["attention", "feedforward", *names])
            hint = f"did you mean {close}?" if close else f"there are {', '.join(names)}."
            raise UserError(f"lora.targets: this model has no {target}; {hint}")
        found |= meant
    return {name: found[name] for name in layers if name in found}


def check_rank(name: str, layer: Adapted, rank: int) -> None:
    """Raise `UserError` where a product of this rank would be no smaller than its matrix."""
    side = min(layer.weight.shape[-1], *layer.sections)
    if rank > side:
        raise UserError(
            f"rank {rank} is above what {name} has: its smallest matrix is of rank {side}."
        )
