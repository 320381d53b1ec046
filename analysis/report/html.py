"""A report as one HTML file that needs no other: for MLflow's viewer, a phone, or paper."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

from analysis.report.document import (
    Block,
    Bullets,
    Card,
    Code,
    Document,
    Picture,
    Section,
    Table,
    Text,
)

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem 1rem 3rem; max-width: 54rem; color: #1c1c1c;
  background: #fff; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.65rem; line-height: 1.2; margin: .4rem 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .7rem;
  border-top: 1px solid #ddd; overflow-wrap: anywhere; }
p { margin: .6rem 0; } .about { color: #666; font-size: .9rem; overflow-wrap: anywhere; }
.lead { font-size: 1.06rem; }
li { margin: .3rem 0; }
nav { font-size: .9rem; } nav a { margin-right: .9rem; white-space: nowrap; }
a { color: #0060a0; }
pre { background: #f5f5f3; padding: .7rem .8rem; overflow-x: auto; font-size: .82rem; }
figure { margin: 1rem 0; } figure img { width: 100%; max-width: 38rem; height: auto;
  display: block; } figure.wide { overflow-x: auto; }
  figure.wide img { max-width: 100%; min-width: 38rem; }
figcaption { color: #555; font-size: .88rem; margin-top: .2rem; max-width: 44rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
.caption { color: #555; font-size: .88rem; margin: 1rem 0 -.4rem; }
th, td { padding: .28rem .7rem .28rem 0; text-align: right; border-bottom: 1px solid #eee;
  vertical-align: top; white-space: nowrap; }
th { border-bottom: 1.5px solid #888; vertical-align: bottom; }
th.word, td.word { text-align: left; white-space: normal; min-width: 5.5rem; max-width: 22rem; }
td.word:nth-child(3) { min-width: 12rem; }
.card { border: 1px solid #ddd; border-left: 4px solid #888; padding: .6rem .9rem;
  margin: 1rem 0; }
.card h3 { margin: .1rem 0 .4rem; font-size: 1rem; }
.card dl { display: grid; grid-template-columns: auto 1fr; gap: .15rem .7rem; margin: .5rem 0;
  font-size: .88rem; } .card dd { margin: 0; }
.claim { font-weight: 600; }
.pass { color: #00714f; } .fail { color: #b3400a; } .unknown { color: #777; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } nav { display: none; }
  figure, tr, .card { break-inside: avoid; } h2 { break-after: avoid; }
  .scroll { overflow: visible; } table { font-size: 7.5pt; } figure img { max-width: 13cm; }
  figure.wide img { min-width: 0; max-width: 100%; } }
"""
_MARKS = {"pass": "✓", "fail": "✗", "unknown": "?"}


def html(document: Document, folder: Path) -> str:
    """The page; figures are taken from ``folder/figures`` and put into it."""
    links = "".join(
        f'<a href="#s{k}">{escape(section.title)}</a> '
        for k, section in enumerate(document.sections)
    )
    body = "".join(_section(section, k, folder) for k, section in enumerate(document.sections))
    title = escape(document.title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1>"
        f'<p class="about">{escape(document.about)}</p><nav>{links}</nav>{body}</body></html>\n'
    )


def _section(section: Section, number: int, folder: Path) -> str:
    blocks = "".join(_block(block, folder) for block in section.blocks)
    return f'<section id="s{number}"><h2>{escape(section.title)}</h2>{blocks}</section>'


def _block(block: Block, folder: Path) -> str:
    match block:
        case Text(text, lead):
            return f'<p class="lead">{escape(text)}</p>' if lead else f"<p>{escape(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"
        case Code(text):
            return f"<pre>{escape(text)}</pre>"
        case Table():
            return _table(block)
        case Picture(saved):
            image = (folder / "figures" / f"{saved.name}.svg").read_bytes()
            data = base64.b64encode(image).decode()
            return (
                f"<figure{' class=wide' if saved.wide else ''}>"
                f'<img alt="{escape(saved.alt)}" src="data:image/svg+xml;base64,{data}">'
                f"<figcaption>{escape(saved.caption)}</figcaption></figure>"
            )
        case Card():
            return _card(block)


def _table(table: Table) -> str:
    def cell(tag: str, text: str, k: int) -> str:
        return f"<{tag}{' class=word' if k < table.left else ''}>{escape(text)}</{tag}>"

    head = "".join(cell("th", name, k) for k, name in enumerate(table.columns))
    rows = "".join(
        "<tr>" + "".join(cell("td", text, k) for k, text in enumerate(row)) + "</tr>"
        for row in table.rows
    )
    caption = f'<p class="caption">{escape(table.caption)}</p>' if table.caption else ""
    return (
        f'{caption}<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _card(card: Card) -> str:
    rows = "".join(
        f'<dt class="{one.verdict}">{_MARKS[one.verdict]} {escape(one.rule.replace("_", " "))}'
        f"</dt><dd>{escape(one.sentence)}</dd>"
        for one in card.findings
    )
    return (
        f'<div class="card"><h3>Evidence for {escape(card.law)}</h3>'
        f'<p class="claim">{escape(card.claim)}</p><dl>{rows}</dl></div>'
    )
