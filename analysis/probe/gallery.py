"""Stories side by side, as a page and as Markdown."""

import html
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.probe.write import Story, Written
from analysis.text_quality import PARSED
from scaling.sampling import SamplingSettings

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem;
       color: #222; background: #fff; }
h2 { font-size: 1.05rem; margin: 2.5rem 0 .6rem; border-top: 1px solid #ddd; padding-top: 1rem; }
.row { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(19rem, 1fr); gap: 1rem;
       overflow-x: auto; }
.story { background: #f6f6f4; border-radius: 6px; padding: .7rem .9rem; margin: 0 0 .7rem;
         white-space: pre-wrap; overflow-wrap: anywhere; }
.story b { font-weight: 600; }
.note { display: block; color: #666; font-size: .8rem; margin-top: .5rem; white-space: normal; }
.head { font-weight: 600; overflow-wrap: anywhere; }
.head small { display: block; color: #666; font-weight: 400; }
.table { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #e4e4e0;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
"""
_NAMES = {
    "log_p_per_token": "log p / token",
    "distinct_1": "distinct-1",
    "distinct_2": "distinct-2",
    "distinct_3": "distinct-3",
    "self_bleu": "self-BLEU",
    "kl_1": "KL words",
    "kl_2": "KL pairs",
    "copied": "copied 8-grams",
    "understood": "understood up to",
    "judge_perplexity": "judge's perplexity",
    "judge_bpb": "judge's bpb",
}


def page(written: Sequence[Written], quality: pd.DataFrame, settings: SamplingSettings) -> str:
    """The HTML gallery, in one file with nothing fetched."""
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>Stories of {len(written)} models</title><style>{_STYLE}</style>",
        f"<h1>Stories of {len(written)} models</h1><p>{html.escape(_settings(settings))}</p>",
        f"<div class=table>{_quality_html(quality)}</div>",
        f"<p class=note>{html.escape(_LEGEND)}</p>",
    ]
    for prompt in _prompts(written):
        parts.append(f"<h2>{html.escape(prompt)}</h2><div class=row>")
        for one in written:
            parts.append(f"<div>{_head_html(one)}")
            for story in _of(one, prompt):
                parts.append(
                    f"<div class=story><b>{html.escape(prompt)}</b>{html.escape(story.text)}"
                    f"<span class=note>{html.escape(_note(story))}</span></div>"
                )
            parts.append("</div>")
        parts.append("</div>")
    return "\n".join(parts) + "\n"


def markdown(written: Sequence[Written], quality: pd.DataFrame, settings: SamplingSettings) -> str:
    """The same for a terminal or a pull request."""
    columns = [c for c in quality.columns if not quality[c].isna().all()]
    lines = [f"# Stories of {len(written)} models", "", _settings(settings), ""]
    lines += [
        "| " + " | ".join(_NAMES.get(c, c) for c in columns) + " |",
        "|" + "---|" * len(columns),
    ]
    lines += [
        "| " + " | ".join(_cell(row[c]) for c in columns) + " |"
        for row in quality.to_dict("records")
    ]
    lines += ["", _LEGEND]
    for prompt in _prompts(written):
        lines += ["", f"## {prompt}"]
        for one in written:
            lines += ["", f"### {one.trained.label}"]
            for story in _of(one, prompt):
                quoted = "\n".join(f"> {line}" for line in f"**{prompt}**{story.text}".split("\n"))
                lines += ["", quoted, ">", f"> *{_note(story)}*"]
    return "\n".join(lines) + "\n"


_LEGEND = (
    "Figures are of the texts without their prompts. log p / token and copied are of each model's"
    " own tokens, and compare for models of one tokenizer; log p is in nats. distinct-n: different"
    " n-grams over n-grams. repetition: share of a text's 4-grams that it has had before."
    " self-BLEU: how alike the texts are. KL: divergence of words from the validation split, in"
    " nats; it is larger for less text, so hold it against the row of held-out text below it."
    " copied: share of runs of 8 tokens that the training text has. accepted, understood,"
    " contradictions: what the embedded corpus's grammar makes of the texts with their prompts, of"
    f" {PARSED} at most, spread over all."
)


def _settings(settings: SamplingSettings) -> str:
    return (
        f"temperature {settings.temperature:g}, top-k {settings.top_k or 'all'}, top-p"
        f" {settings.top_p or 1:g}, seed {settings.seed}, at most {settings.max_tokens} tokens"
    )


def _prompts(written: Sequence[Written]) -> list[str]:
    return list(dict.fromkeys(story.prompt for story in written[0].stories))


def _of(one: Written, prompt: str) -> list[Story]:
    return [story for story in one.stories if story.prompt == prompt]


def _note(story: Story) -> str:
    end = "ended" if story.ended else "cut off"
    return (
        f"log p {story.log_p:.1f} nats, {story.log_p_per_token:.2f} a token;"
        f" {len(story.ids)} tokens, {end}"
    )


def _head_html(one: Written) -> str:
    facts = one.trained.facts
    size = f"{facts.parameters:,} parameters" if facts.parameters else ""
    loss = f"validation loss {facts.loss:.3f}" if facts.loss is not None else ""
    about = ", ".join(text for text in (size, f"step {one.trained.step:,}", loss) if text)
    return f"<p class=head>{html.escape(one.trained.label)}<small>{about}</small></p>"


def _quality_html(quality: pd.DataFrame) -> str:
    columns = [c for c in quality.columns if not quality[c].isna().all()]
    head = "".join(f"<th>{html.escape(_NAMES.get(c, c))}</th>" for c in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(row[c]))}</td>" for c in columns) + "</tr>"
        for row in quality.to_dict("records")
    )
    return f"<table><tr>{head}</tr>{rows}</table>"


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)
