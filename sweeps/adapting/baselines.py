"""What is adapted: runs that are named, or those of a sweep, trained where they are not there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scaling.adapt.config import Baseline, Lora
from scaling.adapt.lora import check_rank, targeted
from scaling.config import DataConfig, RunConfig
from scaling.data.prepare import PreparedData, prepare
from scaling.data.tokenizer import Tokenizer
from scaling.errors import UserError
from scaling.model.decoder import Decoder, outline
from scaling.tracking.address import tracking_uri
from scaling.trained import Trained, find_trained, told_apart
from sweeps.adapting.material import Material
from sweeps.adapting.reading import AdaptSweep
from sweeps.conduct import Request, conduct, look
from sweeps.ledger import Ledger, all_done
from sweeps.progress import Board
from sweeps.wanted import wanted_runs


@dataclass(frozen=True)
class Ready:
    """A baseline that can be adapted."""

    config: Baseline
    parameters: int


def ready_baselines(
    sweep: AdaptSweep, material: Material, board: Board, request: Request
) -> list[Ready]:
    """The baselines, the smallest first; those of a sweep are trained where they are missing.

    `request` is what is asked of that sweep.

    Raises:
        UserError: a run is not there, its data have changed, it cannot learn what is asked, or a
            training failed.
        SystemExit: a signal has stopped the training.
    """
    runs = Path(sweep.spec.tracking.folder)
    if sweep.baselines is None:
        assert isinstance(sweep.spec.baselines, tuple)
        found = [find_trained(name, runs=runs) for name in sweep.spec.baselines]
    else:
        found = _trained(sweep, material, board, request)
    known: dict[str, Trained] = {}
    for one in found:
        if (other := known.setdefault(one.fingerprint, one)) is one:
            continue
        if (place := _place(one)) == _place(other):
            raise UserError(f"baselines has {one.label} twice.")
        raise UserError(f"baselines: {place} is the same model as {_place(other)}.")
    prepare_data(found, board.say)
    ready = [_ready(one, sweep, material) for one in told_apart(found)]
    return sorted(ready, key=lambda one: one.parameters)


def _trained(
    sweep: AdaptSweep, material: Material, board: Board, request: Request
) -> list[Trained]:
    """The runs of the baselines' own sweep, as that sweep's driver makes them."""
    own = sweep.baselines
    assert own is not None
    wanted = wanted_runs(own)
    tracking = wanted[0].config.tracking
    ledger = Ledger(Path(tracking.folder), tracking_uri(tracking.uri), tracking.experiment)
    if not all_done(wanted, look(ledger, wanted)):
        for run in {run.key[0]: run for run in wanted}.values():
            tokenizer = _prepared(run.config.data, board.say).tokenizer
            _check(run.config, tokenizer, run.config.name, sweep, material)
        board.say(f"baselines first: {len(wanted)} runs of {own.spec.name}")
        result = conduct(own, request, board)
        if result.exit_code > 128:  # by a signal: it ends as any sweep does that is stopped
            board.say(result.why)
            raise SystemExit(result.exit_code)
        if result.exit_code:
            failed = [one for one in look(ledger, wanted).values() if one.state == "failed"]
            why = f"{failed[0].error}; retry with --retry failed." if failed else result.why
            raise UserError(f"the baselines are not all trained: {why}")
    known = look(ledger, wanted)
    found = []
    for run in wanted:
        there = known.get(run.key)
        if there is None or there.folder is None:
            raise UserError(
                f"{run.config.name} is in the store, but its folder with the weights is not in"
                f" {tracking.folder}; copy it there, or name other baselines."
            )
        found.append(find_trained(str(there.folder.path)))
    return found


def _ready(trained: Trained, sweep: AdaptSweep, material: Material) -> Ready:
    tokenizer = Tokenizer.load(_place(trained) / "tokenizer.json")
    parameters = _check(trained.config, tokenizer, trained.label, sweep, material)
    config = Baseline(
        label=trained.label, place=str(_place(trained)), fingerprint=trained.fingerprint[:16]
    )
    return Ready(config, parameters)


def _check(
    config: RunConfig, tokenizer: Tokenizer, label: str, sweep: AdaptSweep, material: Material
) -> int:
    """How many parameters a baseline has; `UserError` where it does not fit what is asked."""
    context = config.data.context_length
    model = outline(config.model, vocab_size=tokenizer.vocab_size, context_length=context)
    for rank in sweep.spec.rank:
        _check_rank(model, sweep.spec.lora.targets, rank, label)
    for edit in sweep.spec.edits:
        if edit.candidates > 1 or edit.rounds:
            _check_rank(model, Lora().targets, edit.rank, f"{label}, edits: {edit.label}")
    material.check_texts(tokenizer, context, label)
    return model.param_counts()["total"]


def _check_rank(model: Decoder, targets: tuple[str, ...], rank: int, label: str) -> None:
    try:
        for name, layer in targeted(model, targets).items():
            check_rank(name, layer, rank)
    except UserError as error:
        raise UserError(f"{label}: {error}") from None


def _place(trained: Trained) -> Path:
    return (trained.run.path if trained.run else trained.weights.parent).resolve()


def prepare_data(found: list[Trained], say: Callable[[str], None]) -> None:
    """Build the baselines' data once, before workers would all wait for them.

    Raises:
        UserError: they are not what a baseline was trained on.
    """
    prepared: dict[DataConfig, PreparedData] = {}
    for one in found:
        data = one.config.data
        if data not in prepared:
            prepared[data] = _prepared(data, say)
        prepared[data].check(one.data_digest)


def _prepared(data: DataConfig, say: Callable[[str], None]) -> PreparedData:
    return prepare(data, say=lambda text: None if text.startswith("reusing") else say(text))
