"""The `tinyscale` command. Each subcommand is imported when it is called, so help is quick."""

import importlib
import sys
from dataclasses import dataclass

import click

from scaling.errors import UserError


@dataclass(frozen=True)
class _Entry:
    module: str
    about: str


COMMANDS = {
    "train": _Entry("scaling.commands.train", "Train one config, or several seeds of it."),
    "data": _Entry("scaling.commands.data", "Build, show or check a config's data."),
    "generate": _Entry("scaling.commands.generate", "Continue a prompt with a trained run."),
    "models": _Entry("scaling.commands.models", "List recipes and parts, or check a config."),
    "eval": _Entry("analysis.eval_cli", "Ask runs a prompt set and compare their answers."),
    "probe": _Entry("analysis.eval_cli", "Continue prompts with several runs, side by side."),
    "export": _Entry("scaling.commands.export", "Write a run's model for other tools to load."),
    "bench": _Entry("scaling.commands.bench", "Measure this machine's speed."),
    "doctor": _Entry("scaling.commands.doctor", "Show versions, store, caches; mend stale runs."),
    "ui": _Entry("scaling.commands.ui", "Open MLflow's UI on the store in use."),
    "sweep": _Entry("sweeps.cli", "Make every run a sweep wants and does not have."),
    "plan": _Entry("sweeps.cli", "Show every run a sweep wants, its size and time."),
    "adapt": _Entry("sweeps.adapting.cli", "Adapt trained models to texts they have not seen."),
    "analyze": _Entry("analysis.cli", "Fit laws to runs or to a table."),
    "compare": _Entry("analysis.cli", "Hold groups of runs against each other."),
    "evaluate": _Entry("analysis.cli", "Judge a trained model on any split or text."),
}


class _Lazy(click.Group):
    """A group that imports a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(entry.module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.about) for name, entry in COMMANDS.items()])


@click.group(
    cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(package_name="tinyscale")
def tinyscale() -> None:
    """Study how small language models scale.

    Runs are recorded in an MLflow store (sqlite:///mlflow.db here, unless MLFLOW_TRACKING_URI says
    otherwise) and in folders under runs/.
    """


def main() -> None:
    """Run the command; a user's mistake is one sentence and exit code 2."""
    try:
        tinyscale.main(prog_name="tinyscale", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except UserError as error:
        sys.exit(_complain(str(error)))
    except (KeyboardInterrupt, click.Abort):
        sys.exit(_complain("Stopped.", 130))


def _complain(sentence: str, code: int = 2) -> int:
    click.echo(f"tinyscale: {sentence}", err=True)
    return code


if __name__ == "__main__":
    main()
