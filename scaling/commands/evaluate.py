"""`tinyscale evaluate`."""

import json

import click

from scaling.console import Console


@click.command(short_help="A trained model's loss on a split of text.")
@click.argument("model")
@click.option(
    "--split",
    default="validation",
    show_default=True,
    type=click.Choice(["train", "validation", "test"]),
    help="Of the model's own data.",
)
@click.option("--files", help="A glob of other texts, all of which are evaluated.")
@click.option("--tokens", type=click.IntRange(1), help="Only a prefix of so many tokens.")
@click.option("--batch-size", default=16, show_default=True, help="Windows at a time.")
@click.option(
    "--checkpoint", default="best", show_default=True, help="best, last, or a saved step."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(
    model: str,
    split: str,
    files: str | None,
    tokens: int | None,
    batch_size: int,
    checkpoint: str,
    as_json: bool,
) -> None:
    """The loss of MODEL: a run's id, name or folder, or an exported folder.

    \b
    tinyscale evaluate gqa-1a2b3c4d --split test
    tinyscale evaluate my-model --files "texts/*.txt"
    """
    import torch

    from scaling.config import RuntimeConfig
    from scaling.data.stream import encoded_files, split_of
    from scaling.evaluation import Evaluator, TokenStream
    from scaling.runtime import resolve
    from scaling.trained import find_trained

    console = Console()
    trained = find_trained(model, checkpoint)
    decoder, tokenizer = trained.load(resolve(RuntimeConfig(compile=False)))
    stream: TokenStream
    if files is None:
        stream = split_of(trained.config.data, split, tokenizer, say=console.say)
    else:
        stream = encoded_files(files, tokenizer)
    token_bytes = torch.from_numpy(tokenizer.token_bytes()).long()
    (found,) = Evaluator(stream, token_bytes, batch_size, tokens)(decoder)
    answer = {
        "model": trained.label,
        "step": trained.step,
        "text": files or split,
        "tokens": found.tokens,
        "loss": found.loss,
        "bpb": found.bpb,
        "perplexity": found.perplexity,
    }
    if as_json:
        click.echo(json.dumps(answer, indent=1))
        return
    click.echo(
        f"{trained.label} at step {trained.step:,}, {files or split}: {found.loss:.4f} nats per"
        f" token, {found.bpb:.4f} bits per byte, perplexity {found.perplexity:.3f}"
        f" ({found.tokens:,} tokens)"
    )
