"""What people see while a run goes on: one live line on a terminal, plain lines elsewhere."""

import os
import sys
import time
from typing import TYPE_CHECKING

import click

from scaling.config import RunConfig
from scaling.schema import field_help

if TYPE_CHECKING:
    from scaling.trainer import Trainer
    from scaling.training import RunResult


def tell(text: str = "", *, nl: bool = True) -> None:
    """Write to stderr. Once nobody reads it any more, as behind `| head`, nothing is written, and
    nothing fails for it: the folders are the record."""
    try:
        click.echo(text, nl=nl, err=True)
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end


class Console:
    """Says things on stderr, so that stdout is for answers."""

    plain_every = 10.0  # seconds between lines where there is no terminal

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._open = False  # whether the cursor stands in a live line
        self._spoke = 0.0

    def say(self, sentence: str) -> None:
        """One line."""
        self.close()
        tell(sentence)

    def close(self) -> None:
        """End the live line."""
        if self._open:
            tell()
            self._open = False

    def progress(self, trainer: "Trainer") -> None:
        """Where the run stands."""
        now = time.monotonic()
        ended = trainer.step == trainer.total
        if self._live:
            tell(f"\r\x1b[K{_line(trainer)}", nl=False)
            self._open = True
        elif now - self._spoke > self.plain_every or ended:
            tell(_line(trainer))
            self._spoke = now

    def result(self, result: "RunResult") -> None:
        """How a run ended, and where its record is."""
        summary = result.summary
        if summary.get("diverged"):
            self.say(f"diverged at step {summary['diverged_step']}: the loss is not finite")
        elif "final_val_loss" in summary:
            self.say(
                f"validation loss {summary['final_val_loss']:.4f} nats per token"
                f" ({summary['final_val_bpb']:.4f} bits per byte), best"
                f" {summary['best_val_loss']:.4f} at step {summary['best_step']:.0f}"
            )
        self.say(f"{result.status} {result.folder.path}")


def _line(trainer: "Trainer") -> str:
    losses = [f"{loss:.3f}" for loss in trainer.progress.train_loss]
    validation = [f"{e.loss:.3f}" for e in trainer.progress.last if e is not None]
    parts = [f"step {trainer.step:,}/{trainer.total:,}"]
    if trainer.step:
        parts.append(f"loss {' '.join(losses[:4])}{' ...' if len(losses) > 4 else ''}")
    if validation:
        parts.append(f"val {' '.join(validation[:4])}{' ...' if len(validation) > 4 else ''}")
    rate = trainer.tokens_per_second
    if rate == rate:  # not before the first log
        left = (trainer.total - trainer.step) * trainer.cohort.tokens_per_step / rate
        parts += [f"{trainer.cohort.members * rate:,.0f} tokens/s", f"{left:.0f} s left"]
    return "  ".join(parts)


def show_fields(formatter: click.HelpFormatter) -> None:
    """The config's fields as flags, for a command's help."""
    rows = [
        (f"{field.flag} {field.takes}", f"{field.description} [{field.default}]")
        if field.kind is None
        else (
            f"{field.flag} {field.takes}",
            f"({field.kind}) {field.description} [{field.default}]",
        )
        for field in field_help(RunConfig)
    ]
    with formatter.section("Fields of the config, each a flag"):
        formatter.write_dl(rows, col_max=44)
