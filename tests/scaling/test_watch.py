"""Samples and a prompt score as a run goes on, which leave the run as it is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.cohort import Cohort
from scaling.config import RunConfig
from scaling.data.cache import default_cache
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.prompts.answer import AskSettings, ask
from scaling.prompts.shipped import find_prompts
from scaling.runtime import resolve
from scaling.tracking.folder import run_folders
from scaling.tracking.sent import Sent
from scaling.tracking.store import client
from scaling.tracking.tracker import Tracker
from scaling.trained import of_run
from scaling.training import RunResult, train
from scaling.watch import Watch
from tests.scaling.trained_run import record

ITEMS = [
    {"id": "a", "category": "x", "prompt": "the cat", "answers": ["sat"], "choices": ["ran"]},
    {"id": "b", "category": "x", "prompt": "the", "answers": ["."], "match": "regex"},
]


def _train(config: RunConfig) -> RunResult:
    (result,) = train([config], say=lambda _: None, progress=lambda _: None)
    return result


def _metrics(result: RunResult, prefix: str) -> dict[int, dict[str, float]]:
    return {
        row.step: {key: value for key, value in row.metrics.items() if key.startswith(prefix)}
        for row in result.folder.rows()
        if any(key.startswith(prefix) for key in row.metrics)
    }


def test_a_watched_run_learns_the_same(tiny: Callable[..., RunConfig], workplace: Path) -> None:
    (workplace / "set.json").write_text(json.dumps(ITEMS))
    flags = ("--evaluation.watch_every", "10", "--evaluation.prompt_set", "set.json")
    prompts = ("--evaluation.prompts", '["the cat "]')
    plain, watched = tiny(*prompts), tiny(*prompts, *flags)
    assert plain.identity == watched.identity
    one, two = _train(plain), _train(watched)
    assert _metrics(one, "val/loss") == _metrics(two, "val/loss")
    assert _metrics(one, "train/loss") == _metrics(two, "train/loss")
    scores = _metrics(two, "prompts/")
    assert set(scores) == {0, 10, 20, 30} and not _metrics(one, "prompts/")
    model, tokenizer = of_run(two.folder, 30).load(resolve(watched.runtime))
    chosen, written = ask(model, tokenizer, find_prompts("set.json"), AskSettings())
    assert scores[30] == pytest.approx(
        {
            "prompts/accuracy": (chosen.passed + written.passed) / 2,
            "prompts/p_right": chosen.p_right,
        }
    )
    assert scores[30]["prompts/p_right"] != scores[0]["prompts/p_right"]
    files = sorted(path.name for path in (two.folder.path / "samples").iterdir())
    assert files == [f"step-{step:07d}.md" for step in (0, 10, 20, 30)]
    assert "**the cat**" in (two.folder.path / "samples" / files[-1]).read_text()
    assert "**the cat**" in (two.folder.path / "samples.md").read_text()
    assert not (one.folder.path / "samples").exists()
    run_id = Sent.read(two.folder).run_id
    assert run_id is not None
    store = client(two.folder.read_record().uri)
    assert len(store.list_artifacts(run_id, "samples")) == 4
    assert len(store.get_metric_history(run_id, "prompts/accuracy")) == 4


@pytest.mark.parametrize("items", [ITEMS[:1], ITEMS[1:]], ids=["chosen", "written"])
@pytest.mark.parametrize("prompts", ["[the cat]", "[]"])
def test_a_member_without_finite_scores_leaves_the_others_theirs(
    items: list[dict[str, object]], prompts: str, tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    (workplace / "set.json").write_text(json.dumps(items))
    flags = ("--evaluation.watch_every", "10", "--evaluation.prompt_set", "set.json")
    configs = [tiny("--seed", seed, "--evaluation.prompts", prompts, *flags) for seed in "12"]
    data = prepare(configs[0].data)
    runtime = resolve(configs[0].runtime)
    cohort = Cohort(configs, [data, data], runtime, default_cache())
    for parameter in cohort.model.parameters():
        parameter.data[0] = 1e15  # finite, and what comes of them is not
    trackers = [Tracker(record(config)) for config in configs]
    Watch(configs[0].evaluation)(cohort, trackers, 0, [False, False])
    lost, sound = (tracker.folder for tracker in trackers)
    assert not (lost.path / "samples").exists() and not lost.rows()
    assert (sound.path / "samples").exists() == (prompts != "[]")
    (row,) = sound.rows()
    assert "prompts/accuracy" in row.metrics


def test_a_wrong_set_is_refused_before_training(
    tiny: Callable[..., RunConfig], workplace: Path
) -> None:
    with pytest.raises(UserError, match="There is no prompt file nothing"):
        _train(tiny("--evaluation.watch_every", "10", "--evaluation.prompt_set", "nothing"))
    assert not run_folders(Path("runs"))
