"""Optimizers and schedules: torch's own optimizers, one a member, on views of stacked weights."""

from scaling.optim.average import Average
from scaling.optim.members import MemberOptimizers
from scaling.optim.schedule import decay_steps, lr_factor, warmup_steps

__all__ = ["Average", "MemberOptimizers", "decay_steps", "lr_factor", "warmup_steps"]
