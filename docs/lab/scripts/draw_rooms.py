"""Draw ``docs/explanation/rooms.svg``, the packages and their rooms: ``python docs/lab/scripts/draw_rooms.py``."""

from __future__ import annotations

from html import escape
from pathlib import Path

TARGET = Path(__file__).parents[2] / "explanation" / "rooms.svg"
Rooms = tuple[tuple[str, str], ...]

TRAIN: Rooms = (
    ("cli", "one file per command: check, call, print"),
    ("comparison", "several methods, several seeds, one table"),
    ("training", "tasks one after the other; the run folder"),
    ("methods", "one file per way to learn without forgetting"),
    ("encoders", "frozen networks: torchvision's, or trained here"),
    ("model", "the Top-K network in torch"),
    ("on_device", "device commands, without click and torch"),
    ("data", "data sets from names, folders, arrays, tables"),
)
EXPORT: Rooms = (
    ("verification", "does the file hold what it should"),
    ("assembly", "from a network and samples to a model"),
    ("pruning", "which weights stay, what is fitted afterwards"),
)
BENCH: Rooms = (
    ("report", "a measurement for a person: terminal, page"),
    ("measurement", "fresh processes, intervals, comparisons"),
    ("engines", "csr, ONNX Runtime, torch: the same function"),
    ("roofline", "what the machine could do; boards"),
    ("machine", "facts, versions, energy"),
)
RUNTIME: Rooms = (
    ("serving", "one model, several threads: all locks are here"),
    ("gradient", "one step of SSD on the sparse weights"),
    ("analytic", "the closed form: sums, solver, merge"),
    ("network", "the Top-K network: forward pass, engines"),
    ("storage", "files that survive: generations, journal, locks"),
    ("model_file", "the one owner of the file format"),
    ("encoder", "a frozen ONNX network in front"),
    ("onnx", "ONNX as bytes: messages, tensors, a session"),
    ("ledger", "what happened to a file, what it was made from"),
    ("sparse", "compressed rows and Top-K on plain arrays"),
)
BOXES = (  # package, rooms, left, top, colour
    ("ssd_edge", TRAIN, 20, 20, "#0072B2"),
    ("ssd_edge_export", EXPORT, 530, 20, "#D55E00"),
    ("ssd_edge_bench", BENCH, 530, 220, "#009E73"),
    ("ssd_edge_runtime", RUNTIME, 275, 510, "#555555"),
)
ARROWS = (  # from, to, what is said beside it
    ((450, 64), (530, 64), "cli"),
    ((530, 140), (450, 140), ""),
    ((450, 300), (530, 300), "cli"),
    ((330, 360), (330, 510), ""),
    ((470, 140), (470, 510), ""),
    ((640, 458), (640, 510), ""),
)
WIDTH, ROW, HEAD = 430, 34, 56


def box(name: str, rooms: Rooms, left: int, top: int, color: str) -> str:
    """One package: its name above its rooms, the one that imports the others first."""
    height = HEAD + ROW * len(rooms) + 12
    parts = [
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{height}" rx="6" fill="#ffffff" stroke="{color}" '
        'stroke-width="2"/>',
        f'<text x="{left + 14}" y="{top + 32}" font-size="19" font-weight="bold" fill="{color}">{name}</text>',
    ]
    for number, (room, purpose) in enumerate(rooms):
        y = top + HEAD + ROW * number
        parts.append(
            f'<text x="{left + 14}" y="{y + 16}" font-size="14" font-weight="bold" fill="#222222">{room}/</text>'
            f'<text x="{left + 130}" y="{y + 16}" font-size="12" fill="#222222">{escape(purpose)}</text>'
        )
    return "\n".join(parts)


def arrow(start: tuple[int, int], end: tuple[int, int], said: str) -> str:
    """From the package that imports to the one imported; ``said`` names the only room that does."""
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#222222" stroke-width="2" '
        'marker-end="url(#head)"/>'
        f'<text x="{x1 + 34}" y="{y1 - 8}" font-size="12.5" fill="#222222">{said}</text>'
    )


def draw() -> str:
    """The picture, as text."""
    head = (
        '<defs><marker id="head" markerWidth="10" markerHeight="8" refX="9" refY="4" orient="auto">'
        '<path d="M0,0 L10,4 L0,8 z" fill="#222222"/></marker></defs>'
    )
    body = "\n".join([*(box(*each) for each in BOXES), *(arrow(*each) for each in ARROWS)])
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 980 940" '
        'font-family="DejaVu Sans, Verdana, sans-serif" role="img" '
        'aria-label="The four packages, their rooms, and who imports whom">\n'
        f'<rect width="980" height="940" fill="#ffffff"/>\n{head}\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    TARGET.write_text(draw())
