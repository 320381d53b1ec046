"""Candidates scored by what they bring, the best kept, and the policy trained on the best.

The rounds are ReST-EM (Singh et al., arXiv:2312.06585): the policy writes candidates for practice
passages, the best of each is kept, and the baseline, afresh in every round, is trained on those.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scaling.adapt.config import Edit, Lora
from scaling.adapt.document import Document
from scaling.adapt.edits import Written, learned, write_edits
from scaling.adapt.inner import InnerLoop, Learner, copies
from scaling.adapt.measure import text_loss
from scaling.adapt.policy import OwnPolicy, Policy
from scaling.adapt.stream import Text
from scaling.data.tokenizer import Tokenizer
from scaling.evaluation import Evaluator
from scaling.model.decoder import Decoder

T = TypeVar("T")
Tick = Callable[[str], None]  # hears what is done; may raise to stop


@dataclass(frozen=True)
class Bench:
    """What adaptations of one baseline are tried with.

    Attributes:
        model: the baseline, of one member.
        tokenizer: its tokenizer.
        general: the text that tells forgetting.
        tokens: of an inner step.
        price: of forgetting in the reward.
        most: members of one program.
        tick: hears each step.
    """

    model: Decoder
    tokenizer: Tokenizer
    general: Evaluator
    tokens: int
    price: float
    most: int
    tick: Tick


@dataclass(frozen=True)
class Chosen:
    """The edit of a document that is used.

    Attributes:
        written: the edit.
        reward: what it brought in trying; None where there was nothing to choose from, or every
            candidate diverged.
        tried_tokens: trained on in choosing it.
    """

    written: Written
    reward: float | None
    tried_tokens: int


def choose(
    bench: Bench, edit: Edit, policies: Sequence[Policy], documents: Sequence[Document],
    seeds: Sequence[int],
) -> list[list[Chosen]]:  # fmt: skip
    """For each seed and its policy, the best candidate of every document: `[seeds][documents]`."""
    places = [(s, d, c) for s in range(len(seeds)) for d in range(len(documents))
              for c in range(edit.candidates)]  # fmt: skip
    candidates: list[Written] = []
    for s, policy in enumerate(policies):
        mine = [(d, c) for place, d, c in places if place == s]
        passages = [documents[d].passage for d, _ in mine]
        draws = [(seeds[s] * 7919 + d) * 104_729 + c for d, c in mine]
        bench.tick(f"writing {edit.kind}s")
        candidates += write_edits(policy, edit, passages, draws)
    if edit.candidates == 1:
        each = iter(candidates)
        return [[Chosen(next(each), None, 0) for _ in documents] for _ in seeds]
    trials = [(documents[d], one, seeds[s]) for (s, d, _), one in zip(places, candidates,
                                                                      strict=True)]  # fmt: skip
    scores = rewards(bench, edit, trials)
    tokens = edit.candidates * edit.steps * bench.tokens
    found: list[list[Chosen]] = [[] for _ in seeds]
    for at in range(0, len(places), edit.candidates):
        own = range(at, at + edit.candidates)
        whole = [i for i in own if math.isfinite(scores[i])]  # one that diverged is none
        best = max(whole, key=lambda i: scores[i], default=at)
        reward = scores[best] if whole else None
        found[places[at][0]].append(Chosen(candidates[best], reward, tokens))
    return found


def rewards(
    bench: Bench, edit: Edit, trials: Sequence[tuple[Document, Written, int]]
) -> list[float]:
    """Gain on each document's trial text less the price of what was forgotten, in nats a token."""
    method = Lora(rank=edit.rank, lr=edit.lr)
    texts = {one.id: one.trial for one, _, _ in trials}
    before = {  # of one model, one after the other: a copy of it each would not fit
        name: text_loss(bench.model, bench.tokenizer, [[text]])[0] for name, text in texts.items()
    }
    (knew,) = bench.general(bench.model)
    found = []
    for part in parts(trials, bench.most):
        learners = [
            Learner(written.texts(bench.tokenizer, bench.model.context_length), method, seed)
            for _, written, seed in part
        ]
        loop = InnerLoop(bench.model, learners, bench.tokens)
        for _ in range(edit.steps):
            loop.step()
            bench.tick("trying candidates")
        own = [[document.trial] for document, _, _ in part]
        after = text_loss(loop.model, bench.tokenizer, own)
        general = bench.general(loop.model)
        found += [
            before[document.id] - loss - bench.price * (knows.loss - knew.loss)
            for (document, _, _), loss, knows in zip(part, after, general, strict=True)
        ]
    return found


def train_policies(
    bench: Bench, edit: Edit, practice: Sequence[Document], seeds: Sequence[int]
) -> tuple[list[Policy], int, set[int]]:
    """The policy of each seed after all rounds, the tokens a seed's rounds have trained on, and
    the seeds of which a round diverged: they keep the policy of before, that others may go on."""
    policies: list[Policy] = [OwnPolicy(bench.model, bench.tokenizer)] * len(seeds)
    spent, lost = 0, set[int]()
    method = Lora(rank=edit.rank, lr=edit.lr)
    passages = [one.passage for one in practice]
    for number in range(edit.rounds):
        # Draws of their own in every round, and none that the adapted documents' edits have.
        own = [((seed + 1) * 1_000_033 + number) % 2**63 for seed in seeds]
        kept = choose(bench, edit, policies, practice, own)
        learners = [
            Learner(_lessons(bench, chosen), method, seed)
            for chosen, seed in zip(kept, own, strict=True)
        ]
        taught = [m for part in parts(learners, bench.most) for m in _taught(bench, edit, part)]
        for k, model in enumerate(taught):
            if math.isfinite(text_loss(model, bench.tokenizer, [passages])[0]):
                policies[k] = OwnPolicy(model, bench.tokenizer)
            else:
                lost.add(seeds[k])
        spent += edit.steps * bench.tokens + sum(one.tried_tokens for one in kept[0])
    return policies, spent, lost


def _taught(bench: Bench, edit: Edit, learners: Sequence[Learner]) -> list[Decoder]:
    """The baseline after each learner's lessons, made by one program."""
    loop = InnerLoop(bench.model, learners, bench.tokens)
    for _ in range(edit.steps):
        loop.step()
        bench.tick("training the policy")
    return [_merged(bench, loop, k) for k in range(len(learners))]


def _lessons(bench: Bench, chosen: Sequence[Chosen]) -> list[Text]:
    """What the policy should have written, after what it was given; only that is predicted."""
    texts = [
        text
        for one in chosen
        for prompt, written in one.written.pieces
        if written.text.strip()
        for text in learned(
            bench.tokenizer, prompt.text, written.text, bench.model.context_length,
            ended=written.ended,
        )
    ]  # fmt: skip
    # A policy that wrote nothing at all learns to go on with the passages.
    return texts or [
        text
        for one in chosen
        for text in one.written.texts(bench.tokenizer, bench.model.context_length)
    ]


def _merged(bench: Bench, loop: InnerLoop, k: int) -> Decoder:
    assert loop.adapters is not None
    weights = loop.adapters.merged(k)
    model = copies(bench.model, 1)
    for name, parameter in model.named_parameters():
        parameter.data[0].copy_(weights[name])
    return model


def parts(rows: Sequence[T], most: int) -> Iterator[Sequence[T]]:
    """Rows in even parts of at most so many."""
    count = -(-len(rows) // most)
    for i in range(count):
        yield rows[i * len(rows) // count : (i + 1) * len(rows) // count]
