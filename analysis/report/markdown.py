"""A report as Markdown, with its figures beside it."""

from __future__ import annotations

from analysis.report.document import (
    Block,
    Bullets,
    Card,
    Code,
    Document,
    Picture,
    Table,
    Text,
)


def markdown(document: Document) -> str:
    """The text; figures are links to ``figures/<name>.png``."""
    parts = [f"# {document.title}", document.about]
    for section in document.sections:
        parts.append(f"## {section.title}")
        parts += [_block(block) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Text(text, lead):
            return f"**{text}**" if lead else text
        case Bullets(items):
            return "\n".join(f"- {item}" for item in items)
        case Code(text):
            return f"```\n{text}\n```"
        case Table():
            return table(block)
        case Picture(saved):
            return f"![{saved.alt}](figures/{saved.name}.png)\n\n*{saved.caption}*"
        case Card(law, findings, claim):
            rows = [
                [one.rule.replace("_", " "), str(one.verdict), one.sentence] for one in findings
            ]
            head = f"**Evidence for {law}.** {claim}"
            return f"{head}\n\n{table(Table(['rule', 'verdict', 'figure'], rows, left=3))}"


def table(one: Table) -> str:
    """A table of Markdown."""
    marks = [":--" if k < one.left else "--:" for k in range(len(one.columns))]
    lines = [_row(one.columns), _row(marks), *[_row(row) for row in one.rows]]
    return (f"{one.caption}\n\n" if one.caption else "") + "\n".join(lines)


def _row(cells: object) -> str:
    assert isinstance(cells, list | tuple)
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
