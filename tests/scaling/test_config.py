"""Configs: what is accepted, what is derived, and the one sentence for each mistake."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scaling.budget import Budget, in_steps
from scaling.config import FilesCorpus, RunConfig
from scaling.errors import UserError
from scaling.recipes import load_config, parse_value, recipe_folder, recipe_names
from scaling.schema import field_help


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_and_survives_its_own_yaml(name: str) -> None:
    config = load_config(name)
    again = RunConfig.model_validate(
        yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))
    )
    assert again == config
    assert again.identity == config.identity


def test_baseline_names_every_field_of_its_variants() -> None:
    def names(tree: object, path: str = "") -> set[str]:
        if not isinstance(tree, dict):
            return {path}
        return {n for key, value in tree.items() for n in names(value, f"{path}.{key}".strip("."))}

    written = names(yaml.safe_load((recipe_folder() / "baseline.yaml").read_text()))
    resolved = names(load_config("baseline").model_dump(mode="json"))
    derived = {"model.n_heads", "model.feedforward.d_ff"}
    budgets = {f"budget.{unit}" for unit in Budget.model_fields}
    assert resolved - written - derived - budgets == set()


MISTAKES = [
    (["--model.d_modle", "3"], "model.d_modle is not a known field; did you mean model.d_model?"),
    (["--modle.d_model", "3"], "did you mean model?"),
    (["--lr", "1e-3"], "lr is not a known field; did you mean optimizer.lr?"),
    (["--attention", "gqa"], "attention is not a known field; did you mean model.attention?"),
    (["--momentum", "0.9"], "momentum is not a known field; did you mean optimizer.momentum?"),
    (["--kind", "x"], "kind is not a known field; did you mean data.corpus.kind, data.tokenizer"),
    (
        ["--model.attention", "gqa"],
        "model.attention is a mapping of fields; did you mean model.attention.kind gqa?",
    ),
    (["--model.attention", "gqb"], "model.attention is 'gqb', but it is a mapping of fields."),
    (["--optimizer.lr", "fast"], "optimizer.lr is 'fast', but it should be a valid number"),
    (["--optimizer.lr", "-1"], "optimizer.lr is -1, but it should be greater than 0"),
    (["--budget", "{tokens: 3, steps: 4}"], "budget.steps and budget.tokens are given"),
    (["--budget", "{}"], "none is given, but a budget is exactly one of tokens, steps"),
    (["--model.n_heads", "3"], "model.n_heads 3 does not divide model.d_model 128; the nearest"),
    (["--model.head_dim", "48"], "model.head_dim 48 does not divide model.d_model 128"),
    (
        ["--model.attention.kind", "gqa", "--model.attention.n_kv_heads", "3"],
        "n_kv_heads 3 does not divide the 4 heads; the nearest that does is 2",
    ),
    (["--model.d_model", "66", "--model.n_heads", "2"], "model.head_dim 33 (d_model 66 over 2"),
    (
        ["--model.attention.kind", "gqb"],
        "model.attention.kind 'gqb' is not known; did you mean gqa",
    ),
    (["--data.corpus.files", "x"], "data.corpus.files belongs to kind files"),
    (["--data.corpus.kind", "files"], "give either data.corpus.files or data.corpus.train"),
    (
        ["--data.corpus", r"{kind: files, files: x, separator: \n--\n}"],
        "data.corpus.separator spells out a backslash and a letter",
    ),
    (["--batch.micro_size", "5"], "batch.micro_size 5 does not divide batch.size 16"),
    (
        ["--evaluation.prompt_set", "stories"],
        "evaluation.prompt_set is asked at evaluation.watch_every: give that too",
    ),
    (["--budget", "5"], "budget is 5, but it is a mapping of fields"),
    (["--evaluation.prompts", "One day"], "prompts is 'One day', but it is a list"),
    (["--name", "a/b"], "names a folder"),
    (["--schedule.warmup", "inf"], "schedule.warmup is 'inf', but it should be a finite number"),
    (["--optimizer.weight_decay", "inf"], "but it should be a finite number"),
    (["--schedule.warmup", "1.5"], "1.5 is neither a share of the run, to 1.0, nor whole steps"),
    (["--evaluation.every", "2.5"], "flag --evaluation.every: 2.5 is neither a share of the run"),
    (["--optimizer.kind", "muon", "--optimizer.momentum", "1"], "it should be less than 1"),
    (["--seed"], "flag --seed needs a value"),
    (["seed", "3"], "'seed' is not a flag"),
]


@pytest.mark.parametrize(("flags", "sentence"), MISTAKES, ids=[" ".join(f) for f, _ in MISTAKES])
def test_a_mistake_in_a_flag_is_one_sentence(flags: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        load_config("baseline", flags)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(("flag --", "'seed'"))


def test_a_blank_line_is_given_as_its_help_says() -> None:
    flags = ["--data.corpus.kind", "files", "--data.corpus.files", "x"]
    given = {r'"\n\n"': "\n\n", r"\newpage": r"\newpage", "''": ""}
    given |= {word: word for word in ("|", ">", "###", "---", "%%", "-- # --", "My #3/x.txt")}
    for value, separator in given.items():
        corpus = load_config("baseline", [*flags, "--data.corpus.separator", value]).data.corpus
        assert isinstance(corpus, FilesCorpus) and corpus.separator == separator


def test_a_mistake_in_a_file_names_the_file(workplace: Path) -> None:
    Path("mine.yaml").write_text("extends: baseline\nmodel: {d_modle: 64}\n")
    with pytest.raises(UserError, match=r"^mine\.yaml: model\.d_modle is not a known field"):
        load_config("mine.yaml")
    Path("late.yaml").write_text("extends: baseline\nschedule: {warmup: 1.5}\n")
    with pytest.raises(UserError, match=r"^late\.yaml: schedule\.warmup: 1\.5 is neither a share"):
        load_config("late.yaml")
    Path("broken.yaml").write_text("model: {d_model: 64\n")
    with pytest.raises(UserError, match=r"^broken\.yaml: not valid YAML at line 2"):
        load_config("broken.yaml")
    Path("list.yaml").write_text("- 1\n")
    with pytest.raises(
        UserError, match=r"^list\.yaml: a config is a mapping of fields, this is a"
    ):
        load_config("list.yaml")
    Path("a.yaml").write_text("extends: b\n")
    Path("b.yaml").write_text("extends: a\n")
    with pytest.raises(UserError, match="extends itself"):
        load_config("a.yaml")
    with pytest.raises(UserError, match=r"did you mean gqa\?"):
        load_config("gqaa")
    with pytest.raises(UserError, match=r"there is no file nowhere\.yaml"):
        load_config("nowhere.yaml")


def test_a_run_folder_may_be_in_ones_home(workplace: Path) -> None:
    Path("mine.yaml").write_text("extends: baseline\ntracking: {folder: ~/mine}\n")
    assert load_config("mine.yaml", []).tracking.folder == str(Path.home() / "mine")


def test_extends_lays_the_child_on_its_parents(workplace: Path) -> None:
    Path("parent.yaml").write_text("extends: gqa\nbudget: {steps: 7}\nmodel: {n_heads: 8}\n")
    Path("sub").mkdir()
    Path("sub/child.yaml").write_text("extends: ../parent\noptimizer: {lr: 1e-4}\n")
    config = load_config("sub/child.yaml")
    assert config.name == "child"
    assert config.budget.steps == 7  # in place of baseline's tokens, not beside them
    assert config.budget.tokens is None
    assert config.optimizer.lr == 1e-4
    assert config.model.attention.kind == "gqa"
    assert (config.model.n_heads, config.model.head_dim) == (8, 16)  # head_dim 32 gave way


def test_a_new_kind_keeps_only_the_fields_that_it_has_too() -> None:
    config = load_config(
        "baseline",
        [
            "--data.corpus.documents",
            "50",
            "--data.corpus.kind",
            "files",
            "--data.corpus.files",
            "x.txt",
        ],
    )
    assert config.data.corpus.model_dump()["files"] == "x.txt"
    assert "documents" not in config.data.corpus.model_dump()


def test_a_new_schedule_ends_at_its_own_rate_unless_one_is_given() -> None:
    def final(*flags: str) -> float:
        found: float = load_config("baseline", flags).schedule.model_dump()["final"]
        return found

    assert final() == 0.1
    assert final("--schedule.kind", "linear") == final("--schedule.kind", "wsd") == 0.0
    assert final("--schedule.kind", "linear", "--schedule.final", "0.2") == 0.2


def test_numbers_are_read_as_people_write_them() -> None:
    assert parse_value("5e6") == 5e6
    assert parse_value("1e-3") == 1e-3
    assert parse_value("2_000_000") == 2_000_000
    assert load_config("baseline", ["--budget.tokens=5e6"]).budget.tokens == 5_000_000


@given(st.floats(min_value=1e-12, max_value=1e12, allow_nan=False))
def test_any_positive_float_can_be_a_flag(number: float) -> None:
    assert load_config("baseline", ["--optimizer.lr", repr(number)]).optimizer.lr == number


def test_identity_is_what_is_computed_and_not_where_or_how() -> None:
    base = load_config("baseline")
    same = load_config(
        "baseline",
        [
            "--name",
            "other",
            "--seed",
            "7",
            "--tracking.experiment",
            "x",
            "--runtime.threads",
            "1",
            "--checkpoint.keep",
            "9",
            "--batch.micro_size",
            "4",
            "--model.n_heads",
            "4",
            "--evaluation.prompts",
            "[Once]",
        ],
    )
    assert same.identity == base.identity
    for flags in (["--optimizer.lr", "1e-3"], ["--data.fraction", "0.5"], ["--budget.steps", "9"]):
        assert load_config("baseline", flags).identity != base.identity
    # Another view of the same training is another identity, but no other measurement.
    seen = load_config("baseline", ["--evaluation.every", "0.25", "--evaluation.ema", "0.9"])
    assert seen.identity != base.identity and seen.training == base.training
    judged = load_config("baseline", ["--evaluation.tokens", "2000"])
    assert judged.training != base.training


def test_cohorts_are_of_one_shape_and_length() -> None:
    base = load_config("baseline")
    for flags in (
        ["--seed", "3"],
        ["--optimizer.lr", "1e-3"],
        ["--data.fraction", "0.5"],
        ["--schedule.warmup", "0.1"],
        ["--optimizer.weight_decay", "0"],
    ):
        assert load_config("baseline", flags).cohort_key == base.cohort_key
    for flags in (["--model.d_model", "64"], ["--budget.steps", "9"], ["--batch.size", "8"]):
        assert load_config("baseline", flags).cohort_key != base.cohort_key


def test_every_field_has_a_description_and_a_flag() -> None:
    fields = list(field_help(RunConfig))
    assert {"--optimizer.lr", "--budget.tokens", "--data.corpus.kind"} <= {f.flag for f in fields}
    assert [f.flag for f in fields if not f.description] == []


@pytest.mark.parametrize(
    "budget",
    [
        {"tokens": 81920},
        {"steps": 20},
        {"epochs": 0.8},
        {"flops": 81920 * 6e6},
        {"tokens_per_param": 0.08192},
    ],
)
def test_a_budget_means_the_same_in_every_unit(budget: dict[str, float]) -> None:
    resolved = Budget.model_validate(budget).resolve(
        tokens_per_step=4096, tokens_per_epoch=102_400, flops_per_token=6e6, parameters=10**6
    )
    assert resolved.steps == 20
    assert resolved.tokens == 81920
    assert resolved.epochs == pytest.approx(0.8)
    assert resolved.flops == pytest.approx(81920 * 6e6)
    assert resolved.tokens_per_param == pytest.approx(0.08192)


def test_intervals_are_shares_or_steps() -> None:
    lengths = (None, 0.1, 0.001, 1, 1.0, 50)
    assert [in_steps(x, 200) for x in lengths] == [None, 20, 1, 1, 200, 50]


def test_one_step_is_not_the_whole_run_in_a_file_nor_by_a_flag() -> None:
    runs = {}
    for word in ("1", "1.0", "5", "5.0", "0.5"):
        config = load_config("baseline", ["--evaluation.every", word])
        again = RunConfig.model_validate(
            yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))
        )
        assert again == config and again.identity == config.identity
        runs[word] = in_steps(again.evaluation.every, 100), config.identity
    assert [steps for steps, _ in runs.values()] == [1, 100, 5, 5, 50]
    assert runs["5"] == runs["5.0"]
    assert len({identity for _, identity in runs.values()}) == 4


def test_flags_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"--budget\.steps and --budget\.tokens are given together"
    ):
        load_config("baseline", ["--budget.steps", "100", "--budget.tokens", "1e6"])
    heads, width = ["--model.n_heads", "4"], ["--model.head_dim", "64"]
    for flags in (heads + width, width + heads):
        with pytest.raises(UserError, match=r"n_heads 4 x model\.head_dim 64 is 256, not"):
            load_config("baseline", flags)
    model = load_config("baseline", ["--model.n_heads", "2", "--model.head_dim", "64"]).model
    assert (model.n_heads, model.head_dim) == (2, 64)


@pytest.mark.parametrize(
    ("kind", "rate"), [("sgd", 0.3), ("muon", 0.02), ("lion", 5e-4), ("adafactor", 0.05)]
)
def test_no_rate_is_the_usual_one_where_none_is_known_by_size(kind: str, rate: float) -> None:
    config = load_config("baseline", ["--optimizer.kind", kind, "--optimizer.lr", "null"])
    assert config.optimizer.lr == rate
