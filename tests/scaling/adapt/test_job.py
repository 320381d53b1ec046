"""A group of adaptations from configs to rows, and how candidates are chosen."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from scaling.adapt import inner, reward
from scaling.adapt.config import AdaptConfig, Baseline, Edit, FileTasks, Full, Lora, StoriesTasks
from scaling.adapt.document import Document
from scaling.adapt.edits import Written
from scaling.adapt.job import _bench, adapt, members_of
from scaling.adapt.policy import Continuation
from scaling.adapt.reward import choose, rewards, train_policies
from scaling.config import RunConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.model.decoder import Decoder
from scaling.trained import Trained, of_run
from tests.conftest import WORDS
from tests.scaling.trained_run import make_run

Tiny = Callable[..., RunConfig]


@pytest.fixture
def baseline(tiny: Tiny) -> Trained:
    """A run of the tiny config with weights at random."""
    config = tiny()
    tokenizer = prepare(config.data).tokenizer
    return of_run(make_run(Path("runs"), config, tokenizer, spread=0.05))


@pytest.fixture
def config(baseline: Trained, tiny: Tiny) -> AdaptConfig:
    """Two passages of one's own, verbatim."""
    Path("tasks.jsonl").write_text(
        '{"passage": "the zebu ate moss", "continuation": "moss is what the zebu ate",'
        ' "trial": "the zebu likes moss",'
        ' "questions": [{"prompt": "the zebu ate", "answers": ["moss"], "choices": ["tin"]}]}\n'
        '{"passage": "a yak has six hats", "continuation": "six hats has a yak",'
        ' "trial": "hats, six of them"}\n'
    )
    assert baseline.run is not None
    return AdaptConfig(
        baseline=Baseline(
            label=baseline.label,
            place=str(baseline.run.path.resolve()),
            fingerprint=baseline.fingerprint[:16],
        ),
        tasks=FileTasks(file="tasks.jsonl"),
        inner_steps=4,
        tokens_per_step=16,
        forgetting_tokens=200,
        runtime=tiny().runtime,
    )


def rows(configs: list[AdaptConfig], **options: Any) -> list[dict[str, Any]]:
    made = adapt(configs, say=lambda _: None, moved=lambda *_: None, **options)
    return [one.row for one in made]


def varied(config: AdaptConfig, **fields: Any) -> AdaptConfig:
    return config.model_copy(update=fields)


def figures(row: dict[str, Any]) -> dict[str, float]:
    return {k: v for k, v in row.items() if isinstance(v, float) and "seconds" not in k}


def test_fewer_steps_ranks_and_seeds_in_company_are_what_they_are_alone(
    config: AdaptConfig,
) -> None:
    small, large = Lora(rank=1, lr=1e-2), Lora(rank=3, lr=3e-3)
    configs = [
        varied(config, method=method, inner_steps=steps, seed=seed)
        for method in (small, large)
        for steps in (1, 4)
        for seed in (1, 2)
    ]
    assert len({one.cohort_key for one in configs}) == 1
    assert len({(one.identity, one.seed) for one in configs}) == len(configs)
    together = rows(configs)
    split = rows(configs, members=3)  # a document of one adaptation beside another's
    for one, row, part in zip(configs, together, split, strict=True):
        (alone,) = rows([one])
        assert figures(row) == pytest.approx(figures(alone), abs=2e-4)
        assert figures(part) == pytest.approx(figures(alone), abs=2e-4)
        assert row["tokens"] == one.inner_steps * 16
        assert row["gain"] == pytest.approx(row["continuation_before"] - row["continuation_after"])
        assert row["reward"] == pytest.approx(row["gain"] - row["forgetting"])
        means = [each["gain"] for each in row["each"]]
        assert row["gain"] == pytest.approx(sum(means) / len(means))


def test_more_steps_learn_more_and_full_fine_tuning_as_well(config: AdaptConfig) -> None:
    for method in (Lora(rank=4, lr=2e-2), Full(lr=3e-3)):
        some = [varied(config, method=method, inner_steps=n, seed=1) for n in (1, 30)]
        few, many = rows(some)
        assert many["continuation_after"] < few["continuation_after"]
        assert many["gain"] > 0.1


def test_the_identity_is_of_what_decides_the_outcome(config: AdaptConfig) -> None:
    moved = varied(config, name="x", baseline=config.baseline.model_copy(update={"place": "y"}))
    assert moved.identity == config.identity
    for fields in (
        {"inner_steps": 5},
        {"method": Lora(rank=2)},
        {"edit": Edit(kind="continuation")},
        {"baseline": config.baseline.model_copy(update={"fingerprint": "0"})},
        {"tasks": FileTasks(file="tasks.jsonl", digest="1")},
    ):
        assert varied(config, **fields).identity != config.identity
    assert varied(config, edit=Edit(kind="continuation")).cohort_key != config.cohort_key


def test_what_decides_nothing_makes_no_other_adaptation(config: AdaptConfig) -> None:
    def same(one: AdaptConfig, **edit: Any) -> bool:
        return varied(one, edit=one.edit.model_copy(update=edit)).identity == one.identity

    written = varied(config, edit=Edit(kind="continuation"))
    tried = varied(config, edit=Edit(kind="continuation", candidates=2))
    for name in ("max_tokens", "steps"):
        assert same(config, **{name: 5})  # nobody writes a verbatim edit
    assert not same(written, max_tokens=5)
    assert same(written, steps=5)  # nothing is tried
    assert not same(tried, steps=5)
    stories, more = StoriesTasks(practice=2), StoriesTasks(practice=4)
    assert varied(config, tasks=stories).identity == varied(config, tasks=more).identity
    trained = varied(tried, edit=tried.edit.model_copy(update={"rounds": 1}))
    assert varied(trained, tasks=stories).identity != varied(trained, tasks=more).identity


def test_a_baseline_that_has_changed_is_one_sentence(config: AdaptConfig) -> None:
    other = config.baseline.model_copy(update={"fingerprint": "0" * 16})
    with pytest.raises(UserError, match="is no longer the model that was to be adapted"):
        rows([varied(config, baseline=other)])


def test_a_policy_that_has_changed_is_one_sentence(config: AdaptConfig) -> None:
    place, digest = config.baseline.place, config.baseline.fingerprint
    edit = Edit(kind="continuation", pieces=1, max_tokens=2, policy=place, digest=digest)
    one = varied(config, edit=edit, inner_steps=1)
    assert rows([one])[0]["gain"] is not None
    other = edit.model_copy(update={"digest": "0" * 16})
    with pytest.raises(UserError, match="is no longer the policy that was to write"):
        rows([varied(one, edit=other)])


def test_a_stop_ends_it_between_two_steps(config: AdaptConfig) -> None:
    class StopError(Exception):
        pass

    seen = []

    def moved(step: int, total: int, loss: float) -> None:
        if not math.isnan(loss):
            seen.append(step)
        if len(seen) == 2:
            raise StopError

    with pytest.raises(StopError):
        adapt([config], say=lambda _: None, moved=moved)
    assert seen == [1, 2]


def test_the_candidate_that_teaches_the_trial_text_has_the_higher_reward(
    config: AdaptConfig, baseline: Trained
) -> None:
    bench = _bench(config, baseline, 8, lambda _: None)
    edit = Edit(kind="continuation", candidates=2, steps=12, rank=4, lr=1e-2)
    document = Document("d", "the zebu", "unused", trial="qqq zzz qqq zzz")
    useful, useless = Written("qqq zzz qqq zzz"), Written("1234 5678 90 1234")
    good, bad = rewards(bench, edit, [(document, useful, 1), (document, useless, 1)])
    assert good > bad
    dear = _bench(varied(config, price=100.0), baseline, 8, lambda _: None)
    (costly,) = rewards(dear, edit, [(document, useful, 1)])
    assert costly < good  # forgetting has its price


class Wordsmith:
    """Writes words of the corpus, by the seed; now and then what the trial text wants."""

    def write(self, prompts: Any, seeds: Any, settings: Any) -> list[Continuation]:
        texts = [
            "qqq zzz qqq zzz" if seed % 2 else " ".join(WORDS[seed % 7 : seed % 7 + 4])
            for seed in seeds
        ]
        return [Continuation(text, ended=True) for text in texts]


def test_the_best_candidate_is_used_and_its_cost_is_counted(
    config: AdaptConfig, baseline: Trained
) -> None:
    bench = _bench(config, baseline, 8, lambda _: None)
    edit = Edit(kind="continuation", candidates=6, pieces=1, steps=6, rank=4, lr=1e-2)
    document = Document("d", "the zebu", "unused", trial="qqq zzz qqq zzz")
    ((chosen,),) = choose(bench, edit, [Wordsmith()], [document], [1])
    assert chosen.written.pieces[0][1].text == "qqq zzz qqq zzz"
    assert chosen.tried_tokens == 6 * 6 * config.tokens_per_step
    ((first,),) = choose(
        bench, edit.model_copy(update={"candidates": 1}), [Wordsmith()], [document], [1]
    )
    assert (first.reward, first.tried_tokens) == (None, 0)


def test_a_candidate_that_diverged_is_not_chosen(
    config: AdaptConfig, baseline: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = _bench(config, baseline, 8, lambda _: None)
    edit = Edit(kind="continuation", candidates=3, pieces=1)
    document = Document("d", "the zebu", "unused", trial="qqq")
    scores = [math.nan, 0.5, 1.0]
    monkeypatch.setattr("scaling.adapt.reward.rewards", lambda *_: scores)
    ((chosen,),) = choose(bench, edit, [Wordsmith()], [document], [1])
    assert chosen.reward == 1.0
    scores[1:] = [math.nan, math.inf]
    ((chosen,),) = choose(bench, edit, [Wordsmith()], [document], [1])
    assert chosen.reward is None


def test_an_adaptation_that_diverges_says_so_and_has_no_figures(config: AdaptConfig) -> None:
    wild, tame = rows([varied(config, method=Full(lr=lr)) for lr in (1e30, 1e-3)])
    assert (wild["diverged"], tame["diverged"]) == (True, False)
    assert wild["gain"] is None
    assert wild["each"][0]["gain"] is None
    assert wild["continuation_before"] == tame["continuation_before"]
    json.dumps(wild, allow_nan=False)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The members of every decoder that is copied from a baseline."""
    made: list[int] = []

    def counted(*args: Any, members: int, **rest: Any) -> Any:
        made.append(members)
        return Decoder(*args, members=members, **rest)

    monkeypatch.setattr(inner, "Decoder", counted)
    return made


def test_a_program_never_has_more_members_than_it_is_told(
    config: AdaptConfig, made: list[int]
) -> None:
    """However many passages there are: what is known before is one model's."""
    edit = Edit(kind="continuation", candidates=2, steps=1, max_tokens=2)
    rows([varied(config, edit=edit, inner_steps=1)], members=1)
    assert set(made) == {1}


def test_members_are_as_many_as_suit_the_device_and_have_room(
    config: AdaptConfig, baseline: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert members_of(config) == 8
    assert baseline.facts.parameters is not None
    for room, most in ((3.5, 3), (0.5, 1)):
        monkeypatch.setattr("scaling.adapt.job.BYTES", int(room * 16 * baseline.facts.parameters))
        assert members_of(config) == most


PRACTICE = [Document("p", "the cat sat", "unused", trial="the dog ran")]
ROUNDS = Edit(kind="continuation", candidates=2, rounds=1, pieces=1, steps=4, max_tokens=4)


@pytest.mark.parametrize("seed", [1, 2**63 - 1])
def test_rounds_train_a_policy_of_each_seed(
    config: AdaptConfig, baseline: Trained, seed: int
) -> None:
    bench = _bench(config, baseline, 8, lambda _: None)
    policies, spent, lost = train_policies(bench, ROUNDS, PRACTICE, [seed, 2])
    assert spent == (4 + 2 * 4) * config.tokens_per_step
    assert not lost
    weights = [list(policy.model.parameters()) for policy in policies]  # type: ignore[attr-defined]
    base = list(bench.model.parameters())
    for k in range(2):
        assert any(not a.equal(b) for a, b in zip(weights[k], base, strict=True))
    assert any(not a.equal(b) for a, b in zip(*weights, strict=True))


def test_policies_are_trained_by_programs_of_the_same_bound(
    config: AdaptConfig, baseline: Trained, made: list[int]
) -> None:
    bench = _bench(config, baseline, 2, lambda _: None)
    policies, *_ = train_policies(bench, ROUNDS, PRACTICE, [1, 2, 3])
    assert (len(policies), max(made)) == (3, 2)


def test_a_policy_that_diverges_takes_its_own_seed_alone(
    config: AdaptConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = reward._merged

    def broken(bench: Any, loop: Any, k: int) -> Any:
        model = merged(bench, loop, k)
        if k == 0:
            with torch.no_grad():
                model.embedding.weight.fill_(math.nan)
        return model

    monkeypatch.setattr(reward, "_merged", broken)
    with Path("tasks.jsonl").open("a") as stream:
        stream.write('{"passage": "the cat sat", "continuation": "a cat", "trial": "the dog ran",'
                     ' "practice": true}\n')  # fmt: skip
    ill, well = rows([varied(config, edit=ROUNDS, inner_steps=1, seed=seed) for seed in (1, 2)])
    assert (ill["diverged"], well["diverged"]) == (True, False)
    assert well["gain"] is not None
