"""`tinyscale export`."""

import json
from pathlib import Path

import click

from scaling.errors import UserError
from scaling.flags import refuse


@click.command(short_help="Write a run's model for other tools to load.")
@click.argument("run")
@click.argument("out", required=False, type=click.Path(path_type=Path))
@click.option(
    "--to",
    default="hf",
    show_default=True,
    type=click.Choice(["hf", "safetensors", "onnx"]),
    help="For transformers, the bare weights with a loader, or a graph for ONNX runtimes.",
)
@click.option(
    "--checkpoint", default="best", show_default=True, help="best, last, or a saved step."
)
@click.option("--register", metavar="NAME", help="Put the run's model into MLflow's registry.")
@click.option("--force", is_flag=True, help="Replace an export that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON.")
def export(
    run: str,
    out: Path | None,
    to: str,
    checkpoint: str,
    register: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write the model of RUN (an id, name or folder) to the folder OUT.

    \b
    tinyscale export gqa-1a2b3c4d my-model
    tinyscale export gqa-1a2b3c4d my-weights --to safetensors
    tinyscale export gqa-1a2b3c4d my-graph --to onnx
    tinyscale export gqa-1a2b3c4d --register stories-gqa
    """
    if out is None and register is None:
        raise UserError("Say where to: OUT, a folder to be made, or --register NAME.")
    if out is None:
        refuse(("to", "force"), "says how a folder is written: give it OUT")
    from scaling.trained import find_trained

    trained = find_trained(run, checkpoint)
    answer: dict[str, object] = {}
    if out is not None:
        from scaling.export.write import export as write

        answer = write(trained, to, out, force=force)
        what = {
            "hf": f"{answer['family']}, for transformers",
            "safetensors": "weights and a loader",
            "onnx": "model.onnx, from input_ids [batch, time] to logits [batch, time, vocabulary]",
        }[to]
        click.echo(f"{out}: {what}; step {trained.step:,} of {trained.label}", err=True)
    if register is not None:
        from scaling.tracking.registry import register_model

        version = register_model(trained, register)
        answer["registered"] = {"name": register, "version": version}
        click.echo(f"registered as {register}, version {version}", err=True)
    if as_json:
        click.echo(json.dumps(answer, indent=1))
