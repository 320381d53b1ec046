"""`tinyscale generate`."""

import json

import click

from scaling.errors import UserError


@click.command(short_help="Continue a prompt with a trained run.")
@click.argument("run")
@click.option("--prompt", default="Once upon a time", show_default=True, help="What comes first.")
@click.option("--max-tokens", default=256, show_default=True, help="New tokens at most.")
@click.option("--temperature", default=0.8, show_default=True, help="0 takes the likeliest token.")
@click.option("--top-k", default=50, show_default=True, help="Only so many tokens; 0: all.")
@click.option("--top-p", default=0.95, show_default=True, help="Only so much probability.")
@click.option("--num-samples", default=1, show_default=True, help="How many continuations.")
@click.option("--seed", default=0, show_default=True, help="Of the draws.")
@click.option(
    "--checkpoint", default="best", show_default=True, help="best, last, or a saved step."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def generate(
    run: str,
    prompt: str,
    max_tokens: int,
    temperature: float,
    top_k: int,
    top_p: float,
    num_samples: int,
    seed: int,
    checkpoint: str,
    as_json: bool,
) -> None:
    """Continue a prompt with RUN: a run's id, name or folder, or an exported folder."""
    if num_samples < 1:
        raise UserError(f"num-samples is {num_samples}, but it is at least 1.")
    from scaling import sampling
    from scaling.config import RuntimeConfig
    from scaling.runtime import resolve
    from scaling.trained import find_trained

    prompt = prompt.rstrip(" ")  # as the model is given it: the text brings its own space
    settings = sampling.SamplingSettings(
        max_tokens=max_tokens,
        temperature=temperature,
        top_k=top_k or None,
        top_p=top_p,
        seed=seed,
    )
    model, tokenizer = find_trained(run, checkpoint).load(resolve(RuntimeConfig()))
    length = len(sampling.opened(tokenizer, prompt))
    if length > model.context_length:
        click.echo(
            f"the prompt is of {length:,} tokens: the model is given the end of it, since its"
            f" context is of {model.context_length:,}",
            err=True,
        )
    texts = sampling.generate(model, tokenizer, [prompt] * num_samples, settings)
    if as_json:
        click.echo(json.dumps([{"prompt": prompt, "text": text} for text in texts], indent=1))
        return
    for i, text in enumerate(texts):
        if i:
            click.echo("\n---\n")
        click.echo(click.style(prompt, bold=True) + text)
