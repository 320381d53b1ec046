"""What losses are measured in, and which loss of a run they are."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.columns import loss_kind
from analysis.design import PREFIX, design_of
from analysis.evidence import Verdict, final_loss
from analysis.fits import FitOptions
from analysis.report.study import _short, _what
from analysis.runs import Selection, read_runs
from analysis.study import Request, Study, study
from analysis.units import choose, floor_of, in_unit
from scaling.config import RunConfig
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.training import train
from tests.analysis.recorded import Recorder

OPTIONS = FitOptions(starts=20, bootstrap=0, holdout=0)


def found(
    recorder: Recorder, loss: str | None = None, exclude: str | None = None, unit: str = "auto"
) -> Study:
    columns = {} if loss is None else {"loss": loss}
    selection = Selection(recorder.uri, recorder.experiment, columns=columns)
    request = Request(selection, Path("out"), unit=unit, exclude=exclude, options=OPTIONS)
    return study(request, lambda _: None)


@pytest.fixture
def tokenizers(workplace: Path) -> Recorder:
    """Of each of two tokenizers losses of 2.0, 2.1 and 2.2 nats per token, or 0.72 times as many
    bits per byte, and a run that was killed."""
    recorder = Recorder(workplace)
    for size in (512, 1024):
        for k in range(3):
            flags = ("--data.tokenizer.vocab_size", str(size))
            recorder.record(width=16 * 2**k, loss=2.2 - 0.1 * k, points=2, flags=flags,
                            facts={"vocab_size": size})  # fmt: skip
    recorder.record(width=256, status="KILLED", points=2)
    return recorder


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (None, "final"),
        ("final/val_loss", "final"),
        ("final/val_bpb", "final"),
        ("val/loss", "final"),
        ("best/val_loss", "best"),
        ("best_val_loss", "best"),
        ("val/best-loss", "best"),
        ("train/loss", None),
        ("bestow", None),
    ],
)
def test_only_a_loss_known_to_be_final_is_called_so(key: str | None, kind: str | None) -> None:
    assert loss_kind(key) == kind
    verdict = {"final": Verdict.PASS, "best": Verdict.FAIL, None: Verdict.UNKNOWN}[kind]
    assert final_loss(pd.DataFrame({"loss_kind": [kind, kind]})).verdict is verdict


@pytest.mark.slow
def test_a_named_loss_keeps_its_column_and_unit_and_has_no_floor(workplace: Path) -> None:
    recorder = Recorder(workplace)
    for width in (16, 32, 64, 128, 256):
        recorder.record(width=width, points=2)
    assert found(recorder).held != []
    one = found(recorder, loss="final/val_bpb")
    assert (one.runs["loss"] == one.runs["bpb"]).all()
    assert one.floor is None
    assert one.held == []
    assert one.unit.name == "the unit of final/val_bpb"
    assert one.unit.label == "final/val_bpb"
    text = str(_short(one)) + str(_what(one))
    assert "Losses are each run's final/val_bpb, as asked for." in text
    assert "The lowest final/val_bpb is" in text
    assert "nats" not in text
    assert "entropy" not in text


def test_a_named_loss_stays_what_it_is_across_tokenizers() -> None:
    runs = pd.DataFrame(
        {"loss": [2.0, 2.1], "bpb": [1.0, 1.1], "test_loss": 2.2, "floor": 1.2, "floor_bpb": 0.8,
         "vocab_size": [512, 1024]}
    )  # fmt: skip
    own = choose(runs, column="train/loss")
    assert "the tokenizers differ" in own.losses
    shown = in_unit(runs, own)
    assert list(shown["loss"]) == [2.0, 2.1]
    assert shown["test_loss"].isna().all()
    assert floor_of(shown) is None
    assert floor_of(in_unit(runs, choose(runs))) == 0.8
    for unit in ("bpb", "nats"):
        with pytest.raises(UserError, match=f"--unit {unit} does not go with --loss train/loss"):
            choose(runs, unit, "train/loss")


@pytest.mark.slow
def test_a_rule_about_losses_is_judged_in_the_unit_of_the_report(tokenizers: Recorder) -> None:
    one = found(tokenizers, exclude="loss >= 1.47")  # 1.44, 1.51 and 1.58 bits per byte
    assert one.unit.key == "bpb"
    assert sorted(one.runs["loss"].round(2)) == [1.44, 1.44]
    gone = one.apart[one.apart["why"] == "left out: loss >= 1.47"]
    assert sorted(gone["loss"].round(2)) == [1.51, 1.51, 1.58, 1.58]
    assert len(found(tokenizers, exclude="loss >= 1.9").runs) == 6
    killed = found(tokenizers).apart
    assert killed["loss"].iloc[0] == pytest.approx(0.72 * killed["val/loss"].iloc[0])


def test_a_rule_that_leaves_one_tokenizer_leaves_its_unit(tokenizers: Recorder) -> None:
    for unit in ("auto", "nats"):
        one = found(tokenizers, exclude="vocab_size == 1024", unit=unit)
        assert one.unit.key == "nats"
        assert sorted(one.runs["loss"]) == [2.0, 2.1, 2.2]


def test_a_tokenizer_learned_from_another_corpus_is_another() -> None:
    runs = pd.DataFrame(
        {"name": "a", "loss": [2.0, 2.1], "bpb": [1.0, 1.1], "vocab_size": 512,
         "data.tokenizer.kind": "bpe", "data.corpus.kind": ["stories", "tinystories"]}
    )  # fmt: skip
    assert choose(runs).key == "bpb"
    with pytest.raises(UserError, match="different tokenizers"):
        choose(runs, "nats")
    assert choose(runs.assign(**{"data.tokenizer.kind": "gpt2"})).key == "nats"
    assert choose(runs.assign(**{"data.corpus.kind": "stories"})).key == "nats"


def test_losses_of_a_prefix_of_the_validation_split_are_called_so() -> None:
    runs = pd.DataFrame({"loss": [2.0, 2.1], "evaluation.tokens": ["all", "all"]})
    assert choose(runs).losses.startswith("Losses are final ones on the validation split, in")
    one = choose(runs.assign(**{"evaluation.tokens": 2000}))
    assert "on the first 2,000 tokens of the validation split, in" in one.losses
    runs["evaluation.tokens"] = pd.Series(["all", 2000], dtype=object)
    assert "some runs were given a prefix" in choose(runs).losses
    assert design_of(runs).variants == (PREFIX,)


def test_the_floor_in_bits_per_byte_is_one_for_all_tokenizers(
    tiny: Callable[..., RunConfig],
) -> None:
    stories = ("--data.corpus.kind", "stories", "--data.corpus.documents", "200")
    for tokenizer in ("{kind: byte}", "{kind: bpe, vocab_size: 400}"):
        flags = (*stories, "--budget.steps", "1", "--evaluation.tokens", "all")
        config = tiny(*flags, "--data.tokenizer", tokenizer)
        train([config], say=lambda _: None, progress=lambda _: None)
    runs = read_runs(Selection()).runs
    assert floor_of(runs) is None  # of nats per token there are two
    unit = choose(runs)
    assert unit.key == "bpb"
    expected = prepare(config.data).validation.floor_bits_per_byte
    assert floor_of(in_unit(runs, unit)) == pytest.approx(expected, rel=1e-9)


def test_bits_per_byte_of_what_a_tokenizer_does_not_know_are_not_compared(
    tiny: Callable[..., RunConfig],
) -> None:
    Path("known.txt").write_text("<|endoftext|>".join(f"the cat sat {k}" for k in range(99)))
    Path("strange.txt").write_text("the zebra quit")
    corpus = "{files: null, train: known.txt, validation: strange.txt}"
    for kind in ("byte", "char"):
        flags = ("--data.corpus", corpus, "--data.tokenizer.kind", kind, "--budget.steps", "1")
        train([tiny(*flags, "--name", kind)], say=lambda _: None, progress=lambda _: None)
    runs = read_runs(Selection()).runs
    share = 6 / 15  # z, b, r, q, u and i, of fourteen characters and the end
    assert runs["unknown_share"].dropna().tolist() == [pytest.approx(share)]
    with pytest.raises(UserError, match=r"those of run char compare with no others: 40.0% of its"):
        choose(runs)
    assert choose(runs[runs["name"] == "byte"], "bpb").key == "bpb"
