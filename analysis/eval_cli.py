"""The `tinyscale eval` and `tinyscale probe` commands; import nothing heavy until they run."""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scaling.console import Console
from scaling.errors import UserError
from scaling.flags import refuse
from scaling.outputs import ready_file, ready_folder

if TYPE_CHECKING:
    from scaling.trained import Trained


@dataclass(frozen=True)
class Choice:
    """Which models are meant."""

    runs: tuple[str, ...]
    experiment: str | None
    sweep: str | None
    group: str | None
    checkpoint: str | int
    folder: Path

    def models(self) -> "list[Trained]":
        """Those models, each with a label of its own."""
        from analysis.select import select
        from scaling.trained import told_apart

        models = select(
            [text for given in self.runs if (text := given.strip(","))],
            experiment=self.experiment,
            sweep=self.sweep,
            group=self.group,
            checkpoint=self.checkpoint,
            runs=self.folder,
            say=lambda text: click.echo(text, err=True),
        )
        return told_apart(models)


def _choosing(command: Callable[..., None]) -> Callable[..., None]:
    """A command that is given a `choice` of models, with the options that it is made from."""

    @click.argument("runs", nargs=-1)
    @click.option("--experiment", help="All runs of an experiment.")
    @click.option("--sweep", help="All runs of a sweep.")
    @click.option("--group", help="All seeds of a group.")
    @click.option("--checkpoint", default="best", show_default=True, help="best, last or a step.")
    @click.option("--checkpoint-step", type=int, help="The same as --checkpoint STEP.")
    @click.option("--folder", type=click.Path(path_type=Path), default=Path("runs"),
                  show_default=True, help="Where run folders are.")  # fmt: skip
    @functools.wraps(command)
    def chosen(
        runs: tuple[str, ...],
        experiment: str | None,
        sweep: str | None,
        group: str | None,
        checkpoint: str,
        checkpoint_step: int | None,
        folder: Path,
        **options: object,
    ) -> None:
        if checkpoint_step is not None:
            refuse(("checkpoint",), "is said by --checkpoint-step: leave one of them out")
        which = checkpoint if checkpoint_step is None else checkpoint_step
        command(choice=Choice(runs, experiment, sweep, group, which, folder), **options)

    return chosen


@click.command(name="eval", short_help="Ask runs a prompt set and compare their answers.")
@_choosing
@click.option("--prompts", default="stories", show_default=True,
              help="A prompt file, or a shipped set: stories, tinystories.")  # fmt: skip
@click.option("--limit", type=click.IntRange(1), help="Only so many prompts, spread over the set.")
@click.option(
    "--temperature",
    default=0.0,
    show_default=True,
    help="For answers that are written; 0: always the likeliest token.",
)
@click.option("--top-k", default=0, show_default=True, help="Only so many tokens; 0: all.")
@click.option("--top-p", default=1.0, show_default=True, help="Only so much probability.")
@click.option(
    "--num-samples",
    default=1,
    show_default=True,
    help="Answers to each prompt that asks for a written one.",
)
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder; else evals/<set>.")
@click.option("--again", is_flag=True, help="Ask again what was answered before.")
@click.option("--log/--no-log", default=True, show_default=True, help="Log to the MLflow store.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def eval(
    choice: Choice,
    prompts: str,
    limit: int | None,
    temperature: float,
    top_k: int,
    top_p: float,
    num_samples: int,
    seed: int,
    out: Path | None,
    again: bool,
    log: bool,
    as_json: bool,
) -> None:
    """Ask RUNS (ids, names, run folders, exported folders) a prompt set.

    \b
    tinyscale eval gqa-1a2b3c4d width-d_model=64
    tinyscale eval --sweep width --prompts stories
    tinyscale eval gqa --prompts my.yaml --checkpoint-step 4000
    """
    from scaling.prompts.shipped import find_prompts

    asked = find_prompts(prompts).first(limit)
    models = choice.models()

    from analysis.prompts.evaluate import evaluate
    from analysis.prompts.report import Report
    from scaling.prompts.answer import AskSettings

    console = Console()
    settings = AskSettings(
        temperature=temperature,
        top_k=top_k or None,
        top_p=None if top_p == 1 else top_p,
        num_samples=num_samples,
        seed=seed,
    )
    place = out or Path("evals") / asked.name
    ready_folder(place)
    report = Report.of(evaluate(models, asked, settings, again=again, say=console.say))
    files = report.write(place)
    if not as_json:
        click.echo(report.markdown())  # before a store that may keep us waiting
    run_id = report.publish(place, files, console.say) if log else None
    if as_json:
        rows = json.loads(report.summary.to_json(orient="records"))
        answer = {
            "folder": str(place.resolve()),
            "mlflow_run_id": run_id,
            "models": rows,
            "rank_correlations": report.correlations,
        }
        click.echo(json.dumps(answer, indent=1))
        return
    console.say(f"written to {place}")


@click.command(short_help="Continue prompts with several runs, side by side.")
@_choosing
@click.option("--prompt", help="What the stories begin with [Once upon a time].")
@click.option("--prompts", type=click.Path(path_type=Path),
              help="A file of many: YAML or JSON with a list, or a line each.")  # fmt: skip
@click.option("--num-samples", default=3, show_default=True, type=click.IntRange(1),
              help="Stories a prompt and model.")  # fmt: skip
@click.option("--max-tokens", default=256, show_default=True, help="New tokens at most.")
@click.option("--temperature", default=0.8, show_default=True, help="0: the likeliest token.")
@click.option("--top-k", default=50, show_default=True, help="Only so many tokens; 0: all.")
@click.option("--top-p", default=0.95, show_default=True, help="Only so much probability.")
@click.option("--seed", default=0, show_default=True, help="Of the draws, the same for all.")
@click.option("--judge", metavar="RUN", help="A model that judges the stories' perplexity.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("probe"), show_default=True,
              help="Folder of the gallery.")  # fmt: skip
@click.option("--out-json", type=click.Path(path_type=Path), help="A file of all stories.")
@click.option("--log/--no-log", default=True, show_default=True, help="Log to the MLflow store.")
@click.option("--json", "as_json", is_flag=True, help="Print all stories as JSON.")
def probe(
    choice: Choice,
    prompt: str | None,
    prompts: Path | None,
    num_samples: int,
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    judge: str | None,
    out: Path,
    out_json: Path | None,
    log: bool,
    as_json: bool,
) -> None:
    """Let RUNS (ids, names, run folders, exported folders) go on from the same prompts.

    \b
    tinyscale probe width-d_model=32 width-d_model=128 --prompt "Once upon a time" --seed 0
    tinyscale probe --sweep width --prompts prompts.yaml --num-samples 1
    """
    texts = _texts(prompt, prompts)
    models = choice.models()

    from analysis.probe.quality import quality_table
    from analysis.probe.report import Probe
    from analysis.probe.write import write
    from scaling.sampling import SamplingSettings
    from scaling.trained import find_trained

    console = Console()
    settings = SamplingSettings(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k or None,
        top_p=top_p,
        seed=seed,
    )
    ready_folder(out)
    if out_json is not None:
        ready_file(out_json)
    judging = None if judge is None else find_trained(judge, runs=choice.folder)
    written = write(models, texts, settings, num_samples, say=console.say)
    found = Probe(written, quality_table(written, judging, say=console.say), settings)
    found.write(out)
    whole = json.dumps(found.as_dict(), indent=1, ensure_ascii=False)
    if out_json is not None:
        out_json.write_text(whole, encoding="utf-8")
    if as_json:
        click.echo(whole)
    elif len(texts) == 1:
        click.echo((out / "gallery.md").read_text(encoding="utf-8"))
    if log:
        found.publish(out, console.say)
    if not as_json:
        console.say(f"the gallery is {out / 'gallery.html'}")


def _texts(prompt: str | None, prompts: Path | None) -> list[str]:
    if prompts is None:
        return ["Once upon a time" if prompt is None else prompt]
    if prompt is not None:
        raise UserError("Give either --prompt TEXT or --prompts FILE.")
    from analysis.probe.prompts import read_texts

    return read_texts(prompts)
