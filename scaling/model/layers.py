"""The layers that know of the member axis; everything above composes them.

Parameters are stacked `[M, ...]` and activations run as `[M, B, T, C]`: member k of a layer is the
plain layer with the weights `parameter[k]`, and no member's numbers ever meet another's. M = 1 is
the ordinary model.

Weights are kept in fp32. Products cast them to their input's dtype, so the dtype that a model
computes in is the one that its activations come in; norms and the residual stream stay in fp32.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from scaling.model.rms_norm import RMSNormFunction

# What a parameter is to an optimizer and to muP: a matrix from width to width, a table of
# embeddings, the output head, or a vector (gains, biases).
Role = Literal["matrix", "embedding", "head", "vector"]


class Linear(nn.Module):
    """`x W^T + b` for each member: `[M, B, T, in] -> [M, B, T, out]`, weight `[M, out, in]`.

    `residual` marks the products that write to the residual stream, which may start smaller;
    `sections` are the heights of the matrices that the weight is a stack of, by default one.
    """

    def __init__(
        self,
        members: int,
        d_in: int,
        d_out: int,
        *,
        bias: bool = False,
        residual: bool = False,
        role: Role = "matrix",
        sections: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, d_out, d_in))
        self.bias = nn.Parameter(torch.empty(members, d_out)) if bias else None
        self.residual, self.role, self.sections = residual, role, sections or (d_out,)

    def forward(self, x: Tensor) -> Tensor:
        """Each member's product with its own weights, in the dtype of `x`."""
        members, batch, length, d_in = x.shape
        weight = self.weight.to(x.dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if members == 1:  # torch's plain product is faster than its batched one
            # Squeezed, not indexed: the gradient of an index is a copy into zeros.
            alone = None if bias is None else bias.squeeze(0)
            return F.linear(x.squeeze(0), weight.squeeze(0), alone).unsqueeze(0)
        if x.device.type == "cpu":  # member for member, so that a run's bits are those of it alone
            biases = [None] * members if bias is None else bias.unbind()
            parts = zip(x.unbind(), weight.unbind(), biases, strict=True)
            return torch.stack([F.linear(*part) for part in parts])
        rows = x.reshape(members, batch * length, d_in)
        if bias is None:
            out = torch.bmm(rows, weight.transpose(1, 2))
        else:
            out = torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2))
        return out.view(members, batch, length, -1)

    def flops_per_token(self) -> int:
        """Forward FLOPs of one member for one token: a multiply and an add a weight."""
        _, d_out, d_in = self.weight.shape
        return 2 * d_out * d_in


class ExpertLinear(nn.Module):
    """E products a member: `[M, E, R, in] -> [M, E, R, out]`, weight `[M, E, out, in]`."""

    def __init__(
        self,
        members: int,
        experts: int,
        d_in: int,
        d_out: int,
        *,
        bias: bool = False,
        residual: bool = False,
        sections: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, experts, d_out, d_in))
        self.bias = nn.Parameter(torch.empty(members, experts, d_out)) if bias else None
        self.residual, self.sections = residual, sections or (d_out,)
        self.role: Role = "matrix"

    def forward(self, x: Tensor) -> Tensor:
        """Each expert's product with its own rows, all in one batched product."""
        members, experts, rows, _ = x.shape
        weight = self.weight.to(x.dtype).flatten(0, 1).transpose(1, 2)
        if self.bias is None:
            out = torch.bmm(x.flatten(0, 1), weight)
        else:
            bias = self.bias.to(x.dtype).flatten(0, 1).unsqueeze(1)
            out = torch.baddbmm(bias, x.flatten(0, 1), weight)
        return out.view(members, experts, rows, -1)

    def flops_per_row(self) -> int:
        """Forward FLOPs of one expert for one row."""
        return 2 * self.weight.shape[2] * self.weight.shape[3]


class Embedding(nn.Module):
    """A table for each member: ids `[M, B, T]` to fp32 vectors `[M, B, T, C]`."""

    def __init__(self, members: int, entries: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, entries, width))

    def forward(self, ids: Tensor) -> Tensor:
        """Member k looks up its own rows: its ids are offset by k tables."""
        members, entries, width = self.weight.shape
        offsets = torch.arange(members, device=ids.device).view(-1, 1, 1) * entries
        return F.embedding(ids + offsets, self.weight.view(members * entries, width))


class RMSNorm(nn.Module):
    """`x / rms(x) * gain` (Zhang and Sennrich, arXiv:1910.07467), computed in fp32."""

    eps = 1e-6

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width))

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`[M, ..., C]` of any dtype to the same shape in `dtype`."""
        x = x.float()
        if x.device.type == "cpu" and not torch.compiler.is_compiling():
            rows = x.reshape(x.shape[0], -1, x.shape[-1])
            out = RMSNormFunction.apply(rows, self.weight, self.eps, dtype)  # type: ignore[no-untyped-call]
            return out.view(x.shape)
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return (x * scale * per_member(self.weight, x)).to(dtype)


class LayerNorm(nn.Module):
    """`(x - mean) / std * gain (+ bias)` (Ba et al., arXiv:1607.06450), computed in fp32."""

    eps = 1e-5

    def __init__(self, members: int, width: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width))
        self.bias = nn.Parameter(torch.empty(members, width)) if bias else None

    def forward(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """`[M, ..., C]` of any dtype to the same shape in `dtype`."""
        out = F.layer_norm(x.float(), x.shape[-1:], eps=self.eps) * per_member(self.weight, x)
        if self.bias is not None:
            out = out + per_member(self.bias, x)
        return out.to(dtype)


Norm = RMSNorm | LayerNorm


class Gain(nn.Module):
    """A learned factor for each channel, `start` at first (arXiv:2103.17239)."""

    def __init__(self, members: int, width: int, start: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width))
        self.start = start

    def forward(self, x: Tensor) -> Tensor:
        """`[M, ..., C]` to the same, in fp32."""
        return x * per_member(self.weight, x)


class Table(nn.Module):
    """Free numbers of each member, `[M, rows, width]`, drawn from N(0, std) at first."""

    def __init__(self, members: int, rows: int, width: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, rows, width))
        self.std = std


def per_member(weight: Tensor, x: Tensor) -> Tensor:
    """A `[M, C]` parameter, shaped to multiply or add to `x [M, ..., C]`."""
    return weight.view(weight.shape[0], *[1] * (x.ndim - 2), weight.shape[1])


def fold(x: Tensor) -> Tensor:
    """`[M, B, ...] -> [M B, ...]`: to operations without weights, members are more batch."""
    return x.flatten(0, 1)


@dataclass(frozen=True)
class Weight:
    """What an optimizer needs to know of a parameter."""

    role: Role
    sections: tuple[int, ...] = ()  # of a matrix: the heights of those that it is a stack of


def weights_of(model: nn.Module) -> dict[str, Weight]:
    """What each parameter is, by its name in `named_parameters`."""
    found: dict[str, Weight] = {}
    for path, module in model.named_modules():
        for name, _ in module.named_parameters(recurse=False):
            weight = Weight("vector")
            if name == "weight" and isinstance(module, Linear | ExpertLinear):
                weight = Weight(module.role, module.sections)
            elif isinstance(module, Embedding):
                weight = Weight("embedding")
            found[f"{path}.{name}".lstrip(".")] = weight
    return found
