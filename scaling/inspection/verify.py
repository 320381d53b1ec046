"""Whether a config's model keeps what every model must: checks on random weights and tokens."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.config import RunConfig
from scaling.inspection.catalog import nominal_vocabulary
from scaling.model.attend import BLOCK
from scaling.model.attention.scoring import Scoring
from scaling.model.decoder import Decoder

LONGEST = 160  # tokens of a check; a window of up to half of it is seen to hide
TOLERANCE = 1e-4  # of logits of order one, in fp32


@dataclass(frozen=True)
class Check:
    """One thing that must hold, and whether it does."""

    name: str
    holds: bool
    found: str


class Subject:
    """A config's model of two members and two sequences a member, in fp32 on the CPU."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.length = min(config.data.context_length, LONGEST)
        self.vocabulary = nominal_vocabulary(config.data.tokenizer)
        self.model = self.build([0, 1])
        generator = torch.Generator().manual_seed(0)
        stream = torch.randint(0, self.vocabulary, (2, 2, self.length + 1), generator=generator)
        self.ids, self.targets = stream[..., :-1].contiguous(), stream[..., 1:].contiguous()

    def build(self, seeds: list[int]) -> Decoder:
        """Members of these seeds, their weights shaken so that no gain or bias is at rest."""
        model = Decoder(
            self.config.model,
            vocab_size=self.vocabulary,
            context_length=self.config.data.context_length,
            members=len(seeds),
        )
        model.init_weights(seeds)
        with torch.no_grad():
            for k, seed in enumerate(seeds):
                generator = torch.Generator().manual_seed(seed)
                for parameter in model.parameters():
                    noise = torch.empty(parameter.shape[1:]).normal_(generator=generator)
                    parameter[k] += 0.02 * noise
        return model


def verify(config: RunConfig) -> Iterator[Check]:
    """Run every check on a config's model, each as it is done."""
    subject = Subject(config)
    for name, check in CHECKS.items():
        try:
            holds, found = check(subject)
        except Exception as error:  # a variant that fails is a finding, not a crash
            holds, found = False, f"{type(error).__name__}: {error}"
        yield Check(name, holds, found)


def _shape(subject: Subject) -> tuple[bool, str]:
    logits = subject.model(subject.ids)
    expected = (2, 2, subject.length, subject.vocabulary)
    loss = subject.model.loss(subject.ids, subject.targets)
    right = logits.shape == expected and loss.shape == (2,) and bool(loss.isfinite().all())
    return right, f"logits {tuple(logits.shape)}, loss {tuple(loss.shape)}"


def _causality(subject: Subject) -> tuple[bool, str]:
    """What comes later changes nothing, what comes now does."""
    cut = subject.length // 2
    changed = subject.ids.clone()
    changed[..., cut:] = (changed[..., cut:] + 1) % subject.vocabulary
    with torch.no_grad():
        change = (subject.model(subject.ids) - subject.model(changed)).abs().amax(dim=(0, 1, 3))
    before, after = change[:cut].max().item(), change[cut:].min().item()
    found = f"a change at token {cut} moves logits before it by {before:.1g}, after by {after:.1g}"
    return before < TOLERANCE / 10 and after > 0, found


def _shift(subject: Subject) -> tuple[bool, str]:
    """The loss at a token is of the token after it."""
    place = subject.length // 3
    targets = torch.full_like(subject.targets, -100)
    targets[..., place] = subject.ids[..., place + 1]
    with torch.no_grad():
        log_p = torch.log_softmax(subject.model(subject.ids)[:, :, place], dim=-1)
        wanted = subject.ids[..., place + 1].unsqueeze(-1)
        expected = -log_p.gather(-1, wanted).sum(dim=(1, 2))
        loss = subject.model.loss(subject.ids, targets)
    return _close(loss, expected, f"the loss at token {place} is of token {place + 1}")


def _cache(subject: Subject) -> tuple[bool, str]:
    caches = subject.model.new_caches(2)
    half = subject.length // 2
    pieces = [piece for piece in (half, 1, subject.length - half - 1) if piece]
    with torch.no_grad():
        steps = [subject.model(part, caches) for part in torch.split(subject.ids, pieces, dim=-1)]
        full = subject.model(subject.ids)
    stored = sum(cache.bytes_per_token for cache in caches)
    return _close(torch.cat(steps, dim=2), full, f"{stored:,} bytes a token of a sequence")


def _members(subject: Subject) -> tuple[bool, str]:
    with torch.no_grad():
        alone = subject.build([1]).loss(subject.ids[1:], subject.targets[1:])
        together = subject.model.loss(subject.ids, subject.targets)
    return _close(together[1:], alone, "a member of two as alone")


def _gradients(subject: Subject) -> tuple[bool, str]:
    subject.model.zero_grad()
    result = subject.model.training_loss(subject.ids, subject.targets)
    loss = result.loss if result.penalty is None else result.loss + result.penalty
    loss.sum().backward()  # type: ignore[no-untyped-call]
    dead = [
        name
        for name, parameter in subject.model.named_parameters()
        if parameter.grad is None or not bool((parameter.grad != 0).any())
    ]
    return not dead, f"none at {', '.join(dead)}" if dead else "every parameter has one"


def _flops(subject: Subject) -> tuple[bool, str]:
    plain = sdpa_kernel(SDPBackend.MATH)  # torch counts no FLOPs of its fused kernel on a CPU
    length = subject.length
    windows = [
        part.window
        for part in subject.model.modules()
        if isinstance(part, Scoring) and part.window is not None
    ]
    if windows:  # in two windows nothing is filled up, which torch counts and we do not
        length = min(length, 2 * min(windows))
    if length % BLOCK == 0:  # where our own kernel may leave out what is hidden, and so counted
        length -= BLOCK // 2
    ids, targets = subject.ids[..., :length], subject.targets[..., :length]
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        subject.model.training_loss(ids, targets)
    ours = 4 * length * subject.model.flops_per_token(length)
    theirs = counter.get_total_flops()
    return abs(ours - theirs) < 1e-3 * theirs, f"{ours:,} counted, {theirs:,} by torch"


def _close(one: Tensor, two: Tensor, what: str) -> tuple[bool, str]:
    apart = ((one - two).abs() / (1 + two.abs())).max().item()
    return apart < TOLERANCE, f"{what}, apart by {apart:.1g}"


CHECKS: dict[str, Callable[[Subject], tuple[bool, str]]] = {
    "shape": _shape,
    "causality": _causality,
    "shift": _shift,
    "cache": _cache,
    "members": _members,
    "gradients": _gradients,
    "flops": _flops,
}
