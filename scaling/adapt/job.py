"""A job of adaptations: one baseline and one kind of edit, to a row for each method and seed."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from scaling.adapt.config import AdaptConfig, Full, Lora
from scaling.adapt.document import Document, TaskSet, check_trials
from scaling.adapt.inner import InnerLoop, Learner
from scaling.adapt.measure import Knowledge, knowledge
from scaling.adapt.policy import OwnPolicy, Policy, find_policy, load_policy
from scaling.adapt.reward import Bench, Chosen, choose, parts, train_policies
from scaling.adapt.tasks import load_tasks
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.evaluation import Evaluation, Evaluator
from scaling.model.decoder import Decoder
from scaling.model.memory import weight_bytes
from scaling.runtime import resolve
from scaling.trained import Trained, find_trained

# Members of one program at most. On a CPU a step of 8 costs .042 s of processor time a member and
# one of 32 .065 (docs/LOG.md): the weights of so many leave its caches.
MEMBERS = {"cpu": 8, "cuda": 64}
# That a program's members may take, where all weights are trained: LoRA needs less.
BYTES = 4 * 2**30
Say = Callable[[str], None]
Moved = Callable[[int, int, float], None]  # step, of how many, the members' mean loss
Pair = tuple[int, Lora | Full]  # a seed and a method: all documents of these learn together


@dataclass(frozen=True)
class Adapted:
    """What became of one adaptation.

    Attributes:
        row: its figures, as `adapt.jsonl` has them; `diverged` says that some came to no number,
            or that its policy did in a round.
        curve: the same figures of fewer steps that it has been through, by step.
        edits: what each document was learned from.
    """

    row: dict[str, Any]
    curve: dict[int, dict[str, float]]
    edits: list[dict[str, Any]]


@dataclass
class _Found:
    """What a seed and method have come to, by step: each document's, and seconds of training."""

    knows: dict[int, list[Knowledge]] = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)

    def note(self, step: int, known: Knowledge, seconds: float) -> None:
        """One more document; of a program's seconds each of its members has an even share."""
        self.knows.setdefault(step, []).append(known)
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds


def adapt(
    configs: Sequence[AdaptConfig], *, say: Say, moved: Moved, members: int | None = None
) -> list[Adapted]:
    """Make adaptations that share a cohort key; their rows, in their order.

    `moved` hears each step of the inner loops, and may raise to stop; `members` are those of one
    program at most, by default `members_of`.

    Raises:
        UserError: the baseline, the tasks, the policy or a rank is not what it should be.
    """
    assert len({config.cohort_key for config in configs}) == 1
    first = configs[0]
    trained = baseline_of(first)
    tasks = load_tasks(first.tasks)
    check_trials(tasks, first.edit.candidates, first.edit.rounds)
    most = members or members_of(first)
    bench = _bench(first, trained, most, lambda _: moved(0, 1, float("nan")))
    seeds = sorted({config.seed for config in configs})
    started = time.perf_counter()
    say(f"{first.edit.label} edits of {len(tasks.documents)} passages for {first.baseline.label}")
    chosen, practised, lost = _edits(first, bench, tasks, seeds)
    writing = (time.perf_counter() - started) / len(seeds)
    pairs = list(dict.fromkeys((config.seed, config.method) for config in configs))
    wanted = sorted({config.inner_steps for config in configs})
    # Of one model, a document after the other: a copy of it for each would not fit.
    general = bench.general(bench.model)
    before = [_knows(bench, bench.model, [one], general)[0] for one in tasks.documents]
    found = _learn(bench, tasks.documents, chosen, pairs, wanted, moved)
    return [
        _adapted(config, trained, tasks, before, found[config.seed, config.method],
                 chosen[config.seed], writing, practised, config.seed in lost)
        for config in configs
    ]  # fmt: skip


def baseline_of(config: AdaptConfig) -> Trained:
    """The baseline's model; `UserError` where it is no longer what the config says."""
    trained = find_trained(config.baseline.place)
    if trained.fingerprint[:16] != config.baseline.fingerprint:
        raise UserError(f"{config.baseline.place} is no longer the model that was to be adapted.")
    return trained


def policy_of(config: AdaptConfig) -> Policy:
    """Another policy than the baseline; `UserError` where it is no longer what the config says."""
    edit, runs = config.edit, Path(config.tracking.folder)
    assert edit.policy is not None
    if edit.digest and find_policy(edit.policy, runs)[1] != edit.digest:
        raise UserError(f"{edit.policy} is no longer the policy that was to write.")
    return load_policy(edit.policy, resolve(config.runtime), runs)


def members_of(config: AdaptConfig) -> int:
    """Members of one program at most: as many as suit the device, and as have room."""
    parameters = find_trained(config.baseline.place).facts.parameters
    suited = MEMBERS[resolve(config.runtime).device.type]
    # An export that is not ours may not say how large it is.
    return max(1, min(suited, BYTES // weight_bytes(parameters))) if parameters else suited


def _bench(config: AdaptConfig, trained: Trained, most: int, tick: Say) -> Bench:
    runtime = resolve(config.runtime)
    model, tokenizer = trained.load(runtime)
    data = prepare(trained.config.data)
    data.check(trained.data_digest)
    token_bytes = torch.from_numpy(tokenizer.token_bytes()).long()
    rows = max(1, min(16, config.forgetting_tokens // model.context_length))
    general = Evaluator(data.validation, token_bytes, rows, config.forgetting_tokens)
    return Bench(model, tokenizer, general, config.tokens_per_step, config.price, most, tick)


def _edits(
    config: AdaptConfig, bench: Bench, tasks: TaskSet, seeds: Sequence[int]
) -> tuple[dict[int, list[Chosen]], int, set[int]]:
    """The edits of each seed, a document each; the tokens that rounds have taken a seed; and the
    seeds whose policy has diverged in them."""
    edit, spent, lost = config.edit, 0, set[int]()
    policies: list[Policy]
    if edit.rounds:
        policies, spent, lost = train_policies(bench, edit, tasks.practice, seeds)
    elif edit.policy:
        policies = [policy_of(config)] * len(seeds)
    else:
        policies = [OwnPolicy(bench.model, bench.tokenizer)] * len(seeds)
    chosen = choose(bench, edit, policies, tasks.documents, seeds)
    return dict(zip(seeds, chosen, strict=True)), spent, lost


def _learn(
    bench: Bench, documents: Sequence[Document], chosen: dict[int, list[Chosen]],
    pairs: Sequence[Pair], wanted: Sequence[int], moved: Moved,
) -> dict[Pair, _Found]:  # fmt: skip
    """Every seed and method through all steps, measured at those that are wanted."""
    found = {pair: _Found() for pair in pairs}
    alike: dict[tuple[object, ...], list[tuple[Pair, int]]] = {}
    for pair in pairs:
        own = alike.setdefault(_program_of(pair[1]), [])
        own += [(pair, d) for d in range(len(documents))]
    programs = [program for units in alike.values() for program in parts(units, bench.most)]
    total, done = len(programs) * wanted[-1], 0
    context = bench.model.context_length
    for program in programs:
        learners = [
            Learner(chosen[seed][d].written.texts(bench.tokenizer, context), method, seed)
            for (seed, method), d in program
        ]
        loop, seconds = InnerLoop(bench.model, learners, bench.tokens), 0.0
        for step in range(1, wanted[-1] + 1):
            started = time.perf_counter()
            mean = float(loop.step().mean())  # which waits for a GPU as well
            seconds += time.perf_counter() - started
            moved(done + step, total, mean)
            if step in wanted:
                learned = [documents[d] for _, d in program]
                knows = _knows(bench, loop.model, learned, bench.general(loop.model))
                for (pair, _), known in zip(program, knows, strict=True):
                    found[pair].note(step, known, seconds / len(program))
        done += wanted[-1]
    return found


def _program_of(method: Lora | Full) -> tuple[object, ...]:
    """What learners of one program agree in; ranks, alphas and rates are each one's own."""
    if isinstance(method, Lora):
        return method.kind, method.targets, method.dropout
    return (method.kind,)


def _knows(
    bench: Bench, model: Decoder, documents: Sequence[Document], general: Sequence[Evaluation]
) -> list[Knowledge]:
    return knowledge(
        model,
        bench.tokenizer,
        [document.continuation for document in documents],
        [document.questions for document in documents],
        general,
    )


def _adapted(
    config: AdaptConfig, trained: Trained, tasks: TaskSet, before: Sequence[Knowledge],
    found: _Found, chosen: Sequence[Chosen], writing: float, practised: int, lost: bool,
) -> Adapted:  # fmt: skip
    curve = {
        step: _figures(before, knows, config.price)
        for step, knows in found.knows.items()
        if step <= config.inner_steps
    }
    after = found.knows[config.inner_steps]
    method, facts = config.method, trained.facts
    each = [
        {"id": document.id, **_figures([was], [now], config.price)}
        for document, was, now in zip(tasks.documents, before, after, strict=True)
    ]
    row = {
        "baseline": config.baseline.label,
        "baseline_fingerprint": config.baseline.fingerprint,
        "baseline_run": trained.run_id,
        "parameters": facts.parameters,
        "parameters_non_embedding": facts.non_embedding,
        "baseline_tokens": facts.tokens,
        "edit": config.edit.label,
        "method": method.kind,
        "rank": method.rank if isinstance(method, Lora) else None,
        "lr": method.lr,
        "inner_steps": config.inner_steps,
        "seed": config.seed,
        "documents": len(tasks.documents),
        "tokens": config.inner_steps * config.tokens_per_step,
        # Of one passage, as `tokens` are: rounds are trained once for all of them.
        "tokens_tried": max(one.tried_tokens for one in chosen)
        + round(practised / len(tasks.documents)),
        "wall_seconds": found.seconds[config.inner_steps],
        "writing_seconds": writing,
        **_finite(curve[config.inner_steps]),
        "each": [_finite(one) for one in each],
        "diverged": lost or not all(map(math.isfinite, curve[config.inner_steps].values())),
    }
    edits = [
        {"document": document.id, "passage": document.passage, "pieces": one.written.shown(),
         "reward": one.reward}
        for document, one in zip(tasks.documents, chosen, strict=True)
    ]  # fmt: skip
    return Adapted(row, curve, edits)


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row with None for what came to no number."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }


def _figures(
    before: Sequence[Knowledge], after: Sequence[Knowledge], price: float
) -> dict[str, float]:
    """Means over documents, of answers over all questions; losses in nats per token."""

    def mean(side: Sequence[Knowledge], name: str) -> float | None:
        known = [one for one in side if getattr(one, name) is not None]
        weights = [one.questions if name in ("accuracy", "p_right") else 1 for one in known]
        total = sum(w * getattr(one, name) for w, one in zip(weights, known, strict=True))
        return total / sum(weights) if known else None

    found: dict[str, float] = {}
    for name in ("continuation", "general", "accuracy", "p_right"):
        was, now = mean(before, name), mean(after, name)
        if was is not None and now is not None:
            found |= {f"{name}_before": was, f"{name}_after": now}
    found["gain"] = found["continuation_before"] - found["continuation_after"]
    found["forgetting"] = found["general_after"] - found["general_before"]
    found["reward"] = found["gain"] - price * found["forgetting"]
    return found
