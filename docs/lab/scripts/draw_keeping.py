"""Draw the picture of the README from ``keeping.json``: ``python docs/lab/scripts/draw_keeping.py``."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt

RESULTS = Path(__file__).parents[1] / "results"
LINES = (  # row, figure, label, colour of Okabe and Ito's palette, marker, dashes
    ("views, closed form", "first_four", "the first four classes", "#0072B2", "s", "-"),
    ("views, closed form", "all_known", "all classes known by then", "#0072B2", "o", "--"),
    ("ssd, gradient, distillation", "all_known", "the same, learning\nby small corrections", "#D55E00", "^", ":"),
)


def draw(target: Path) -> None:
    """Accuracy over the number of classes known, written to ``target``."""
    rows = json.loads((RESULTS / "keeping.json").read_text())["rows"]
    plt.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "ssd-edge", "font.size": 11})
    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    axes.axvspan(4, 10, color="0.95", zorder=0)
    axes.text(4.1, 3, "learned on the device", color="0.35")
    for row, name, label, color, marker, dashes in LINES:
        x = [step["classes"] for step in rows[row]]
        y = [100 * step[name] for step in rows[row]]
        axes.plot(x, y, dashes, color=color, marker=marker, markersize=7, label=label)
    axes.set(xlabel="classes known", ylabel="right answers, %", xticks=(4, 6, 8, 10), ylim=(0, 100))
    axes.set_xlim(3.7, 10.3)
    axes.grid(axis="y", color="0.85")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside right center", handlelength=3.2, labelspacing=1.2)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    draw(RESULTS / "keeping.svg")
