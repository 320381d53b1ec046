"""What every part and every recipe must keep: the contract tests. A new variant is a row in
`tests/variants.py`; a new recipe is found by its file."""

import copy
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from scaling.budget import Budget
from scaling.cohort import Cohort
from scaling.config import (
    BpeTokenizer,
    ByteTokenizer,
    DataConfig,
    FilesCorpus,
    Gpt2Tokenizer,
    RunConfig,
)
from scaling.data.cache import default_cache
from scaling.data.prepare import PreparedData, prepare
from scaling.model.decoder import Decoder
from scaling.recipes import load_config, recipe_folder, recipe_names
from scaling.runtime import Runtime
from scaling.sampling import SamplingSettings, generate
from scaling.signals import Stop
from scaling.tracking.folder import RunFolder
from scaling.tracking.tracker import Tracker
from scaling.trainer import Trainer
from tests.variants import EVALUATION, MODEL, OPTIMIZERS, SCHEDULES, shrunk, tiny_config

PARTS = MODEL | OPTIMIZERS | SCHEDULES | EVALUATION
ROWS = [*PARTS, *(f"{name}.yaml" for name in recipe_names())]
STEPS = 30

Train = Callable[..., Trainer]


def config_of(row: str) -> RunConfig:
    config = (
        shrunk(row.removesuffix(".yaml")) if row.endswith(".yaml") else tiny_config(PARTS[row])
    )
    changes = {
        "budget": Budget(steps=STEPS),
        "evaluation": config.evaluation.model_copy(update={"every": None, "tokens": 100}),
        "tracking": config.tracking.model_copy(update={"log_every": 1}),
        "checkpoint": config.checkpoint.model_copy(update={"save_every": 1000}),
    }
    return config.model_copy(update=changes)


@pytest.fixture(scope="session")
def data(corpus: Path) -> PreparedData:
    config = DataConfig(
        corpus=FilesCorpus(files=str(corpus)), tokenizer=ByteTokenizer(), context_length=12
    )
    return prepare(config)


@pytest.fixture
def start(data: PreparedData, tmp_path: Path) -> Train:
    """A trainer of a config's members, with folders but no store."""

    def make(config: RunConfig, seeds: Sequence[int], folder: str) -> Trainer:
        runtime = Runtime(torch.device("cpu"), torch.float32, compile=False)
        configs = [config.model_copy(update={"seed": seed}) for seed in seeds]
        cohort = Cohort(configs, [data] * len(seeds), runtime, default_cache())
        folders = [RunFolder(tmp_path / f"{folder}-{seed}") for seed in seeds]
        for made in folders:
            made.path.mkdir(exist_ok=True)
        return Trainer(cohort, [Tracker(made) for made in folders], lambda _: None)

    return make


def losses(trainer: Trainer, k: int = 0) -> list[float]:
    rows = trainer.trackers[k].folder.rows()
    return [row.metrics["train/loss"] for row in rows if "train/loss" in row.metrics]


class StopAt(Stop):
    """Asks for a stop once a trainer has come to a step."""

    def __init__(self, trainer: Trainer, step: int) -> None:
        super().__init__()
        self.trainer, self.at = trainer, step

    @property
    def requested(self) -> bool:
        return self.trainer.step >= self.at


@pytest.mark.parametrize("row", ROWS)
def test_it_learns_as_a_cohort_as_alone_and_resumes_exactly(row: str, start: Train) -> None:
    config = config_of(row)
    whole = start(config, [1, 2, 3], "whole")
    whole.run(Stop())
    learned = losses(whole)
    assert len(learned) == STEPS
    assert sum(learned[-5:]) < sum(learned[:5])

    solo = start(config, [2], "solo")
    solo.run(StopAt(solo, 3))
    assert losses(solo) == losses(whole, 1)[:3]

    resumed = start(config, [2], "solo")
    resumed.restore()
    assert resumed.step == 3
    resumed.run(StopAt(resumed, 5))
    straight = start(config, [2], "straight")
    straight.run(StopAt(straight, 5))
    assert losses(resumed) == losses(straight)
    for one, two in zip(resumed.cohort._tensors(), straight.cohort._tensors(), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("row", ROWS)
def test_it_generates_the_same_with_its_cache_as_without(row: str, data: PreparedData) -> None:
    config = config_of(row)
    vocabulary = data.tokenizer.vocab_size
    model = Decoder(config.model, vocab_size=vocabulary, context_length=12)
    model.init_weights([0])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.manual_seed(1)) * 0.3)
    settings = SamplingSettings(max_tokens=16, top_p=None, top_k=None)
    texts = [
        generate(model, data.tokenizer, ["the", "a cat"], settings, cached=cached)
        for cached in (True, False)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("row", ROWS)
def test_micro_batches_change_nothing(row: str, start: Train) -> None:
    config = config_of(row)
    found = []
    for size in (4, 2):
        batch = config.batch.model_copy(update={"micro_size": size})
        trainer = start(config.model_copy(update={"batch": batch}), [5], f"micro{size}")
        trainer.run(StopAt(trainer, 3))
        found.append(losses(trainer))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=0)


# ---------------------------------------------------------------- recipes


def header(name: str) -> str:
    text = (recipe_folder() / f"{name}.yaml").read_text()
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipes_header_says_whose_it_is_and_counts_right(name: str) -> None:
    text = header(name)
    assert text.startswith(f"# {name}: ")
    stated = re.search(r"# ([\d,]+) parameters \(([\d,]+) without embeddings\)", text)
    assert stated is not None, "the header states parameters"
    vocabulary = re.search(r"vocabulary of ([\d,]+)", text)
    config = load_config(name)
    tokenizer = config.data.tokenizer
    if isinstance(tokenizer, BpeTokenizer):
        size = tokenizer.vocab_size
    elif isinstance(tokenizer, Gpt2Tokenizer):
        size = 50_257
    else:
        assert vocabulary is not None, "the header states the vocabulary that it counts for"
        size = int(vocabulary[1].replace(",", ""))
    with torch.device("meta"):
        model = Decoder(config.model, vocab_size=size, context_length=config.data.context_length)
    counts = model.param_counts()
    assert [int(n.replace(",", "")) for n in stated.groups()] == [
        counts["total"],
        counts["non_embedding"],
    ]
    active = re.search(r"([\d,]+) of them active", text)
    if counts["active"] != counts["total"]:
        assert active is not None and int(active[1].replace(",", "")) == counts["active"]


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_takes_back_its_own_resolved_config(name: str) -> None:
    config = load_config(name)
    again = RunConfig.model_validate(copy.deepcopy(config.model_dump(mode="json")))
    assert again == config
