"""The parts of a self-contained HTML page: readable on a phone, printable, without scripts or network."""

from __future__ import annotations

import html
from collections.abc import Iterable

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 0 2rem; }
figure { margin: 0 0 1rem; } figcaption { font-weight: 600; margin-bottom: .25rem; }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
.grid svg { max-width: 30rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .2rem .6rem; border-bottom: 1px solid #8884; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
.note { color: #b45309; } li { overflow-wrap: anywhere; } ol { padding-left: 1.4rem; }
footer { margin-top: 2rem; opacity: .7; font-size: .85rem; overflow-wrap: anywhere; }
"""


def shell(title: str, body: str, footer: str) -> str:
    """A whole page; ``body`` is HTML, the others are text."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1>{body}<footer>{escape(footer)}</footer></body></html>\n"
    )


def section(title: str, body: str) -> str:
    """A headed part of a page."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def figure(caption: str, chart: str) -> str:
    """A chart under its caption."""
    return f"<figure><figcaption>{escape(caption)}</figcaption>{chart}</figure>"


def grid(parts: Iterable[str]) -> str:
    """Parts side by side where there is room, else one under the other."""
    return f'<div class="grid">{"".join(parts)}</div>'


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table that scrolls by itself where it is too wide."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def escape(text: str) -> str:
    """Text as HTML."""
    return html.escape(text)
