"""What is adapted: runs that are named, or those of a sweep, trained where they are not there."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scaling.adapt.config import Baseline, Lora
from scaling.adapt.lora import check_rank, targeted
from scaling.data.prepare import prepare
from scaling.errors import UserError
from scaling.model.decoder import Decoder, outline
from scaling.tracking.store import tracking_uri
from scaling.trained import Trained, find_trained, told_apart
from sweeps.adapting.reading import AdaptSweep
from sweeps.conduct import Request, conduct, look
from sweeps.ledger import Ledger, all_done
from sweeps.progress import Board
from sweeps.record import sweep_folder
from sweeps.wanted import wanted_runs


@dataclass(frozen=True)
class Ready:
    """A baseline that can be adapted."""

    config: Baseline
    parameters: int


def ready_baselines(sweep: AdaptSweep, board: Board, measure: bool) -> list[Ready]:
    """The baselines, the smallest first; those of a sweep are trained where they are missing.

    Raises:
        UserError: a run is not there, or a training failed.
    """
    runs = Path(sweep.spec.tracking.folder)
    if sweep.baselines is None:
        assert isinstance(sweep.spec.baselines, tuple)
        found = [find_trained(name, runs=runs) for name in sweep.spec.baselines]
    else:
        found = _trained(sweep, board, measure)
    known: dict[str, Trained] = {}
    for one in found:
        if (other := known.setdefault(one.fingerprint, one)) is one:
            continue
        if (place := _place(one)) == _place(other):
            raise UserError(f"baselines has {one.label} twice.")
        raise UserError(f"baselines: {place} is the same model as {_place(other)}.")
    prepare_data(found, board.say)
    ready = [_ready(one, sweep) for one in told_apart(found)]
    return sorted(ready, key=lambda one: one.parameters)


def _trained(sweep: AdaptSweep, board: Board, measure: bool) -> list[Trained]:
    """The runs of the baselines' own sweep, as that sweep's driver makes them."""
    own = sweep.baselines
    assert own is not None
    wanted = wanted_runs(own)
    tracking = wanted[0].config.tracking
    ledger = Ledger(Path(tracking.folder), tracking_uri(tracking.uri), tracking.experiment)
    if not all_done(wanted, look(ledger, wanted)):
        board.say(f"baselines first: {len(wanted)} runs of {own.spec.name}")
        result = conduct(own, Request(measure=measure), board)
        if result.exit_code:
            folder = sweep_folder(own, wanted[0].config)
            told = result.lines[0] if result.lines else f"see {folder}"
            raise UserError(f"the baselines are not all trained: {told}")
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


def _ready(trained: Trained, sweep: AdaptSweep) -> Ready:
    """Check that the asked ranks and targets fit it, from shapes alone."""
    model = outline(
        trained.config.model,
        vocab_size=_vocabulary(trained),
        context_length=trained.config.data.context_length,
    )
    for rank in sweep.spec.rank:
        _check(model, sweep.spec.lora.targets, rank, trained.label)
    for edit in sweep.spec.edits:
        if edit.candidates > 1 or edit.rounds:
            _check(model, Lora().targets, edit.rank, trained.label)
    config = Baseline(
        label=trained.label, place=str(_place(trained)), fingerprint=trained.fingerprint[:16]
    )
    return Ready(config, model.param_counts()["total"])


def _check(model: Decoder, targets: tuple[str, ...], rank: int, label: str) -> None:
    try:
        for name, layer in targeted(model, targets).items():
            check_rank(name, layer, rank)
    except UserError as error:
        raise UserError(f"{label}: {error}") from None


def _vocabulary(trained: Trained) -> int:
    from scaling.data.tokenizer import Tokenizer

    return Tokenizer.load(_place(trained) / "tokenizer.json").vocab_size


def _place(trained: Trained) -> Path:
    return (trained.run.path if trained.run else trained.weights.parent).resolve()


def prepare_data(found: list[Trained], say: Callable[[str], None]) -> None:
    """Build the baselines' data once, before workers would all wait for them."""
    for data in dict.fromkeys(one.config.data for one in found):
        prepare(data, say=lambda text: None if text.startswith("reusing") else say(text))
