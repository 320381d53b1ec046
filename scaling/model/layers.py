"""The layers that know of the member axis; everything above composes them.

Parameters are stacked `[M, ...]` and activations run as `[M, B, T, C]`: member k of a layer is the
plain layer with the weights `parameter[k]`, and no member's numbers ever meet another's. M = 1 is
the ordinary model.

Weights are kept in fp32. `Linear` casts them to its input's dtype, so the dtype that a model
computes in is the one that its activations come in; norms and the residual stream stay in fp32.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Linear(nn.Module):
    """`x W^T + b` for each member: `[M, B, T, in] -> [M, B, T, out]`, weight `[M, out, in]`.

    `residual` marks the projections that write to the residual stream, which start smaller.
    """

    def __init__(
        self, members: int, d_in: int, d_out: int, *, bias: bool = False, residual: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, d_out, d_in))
        self.bias = nn.Parameter(torch.empty(members, d_out)) if bias else None
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        """Each member's product with its own weights, in the dtype of `x`."""
        members, batch, length, d_in = x.shape
        weight = self.weight.to(x.dtype)
        bias = None if self.bias is None else self.bias.to(x.dtype)
        if members == 1:  # the same sum; torch's plain product is faster than its batched one
            return F.linear(x[0], weight[0], None if bias is None else bias[0]).unsqueeze(0)
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
        """`[M, B, T, C]` of any dtype to the same shape in `dtype`."""
        x = x.float()
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps)
        return (x * scale * self.weight[:, None, None]).to(dtype)


def fold(x: Tensor) -> Tensor:
    """`[M, B, ...] -> [M B, ...]`: to operations without weights, members are more batch."""
    return x.flatten(0, 1)
