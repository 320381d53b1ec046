"""Optimizers and schedules: one optimizer a member, torch's own or ours, on stacked weights."""

from scaling.optim.average import Average
from scaling.optim.members import MemberOptimizers
from scaling.optim.schedule import decay_steps, lr_factor, notice, warmup_steps

__all__ = [
    "Average",
    "MemberOptimizers",
    "decay_steps",
    "lr_factor",
    "notice",
    "warmup_steps",
]
