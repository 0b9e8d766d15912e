"""Draw ``keeping.svg`` from ``docs/lab/results/keeping.json``: ``python docs/lab/scripts/draw_keeping.py``."""

from __future__ import annotations

import json
from pathlib import Path

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
LINES = (  # row, figure, label, colour of Okabe and Ito's palette, dashes
    ("views, closed form", "first_four", "first four classes", "#0072B2", "-"),
    ("views, closed form", "all_known", "all classes known by then", "#0072B2", "--"),
    ("ssd, gradient, distillation", "all_known", "all classes known by then, gradient readout", "#D55E00", "--"),
)


def main() -> None:
    """Accuracy over the number of classes known."""
    rows = json.loads((HERE.parent / "results" / "keeping.json").read_text())["rows"]
    plt.rcParams.update({"svg.fonttype": "path", "svg.hashsalt": "ssd-edge", "font.size": 11})
    figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
    axes.axvspan(4, 10, color="0.95", zorder=0)
    axes.text(4.1, 3, "learned on the device", color="0.4")
    for row, figure_name, label, color, style in LINES:
        x = [step["classes"] for step in rows[row]]
        y = [100 * step[figure_name] for step in rows[row]]
        axes.plot(x, y, style, color=color, marker="o", markersize=4, label=label)
    axes.set(xlabel="classes known", ylabel="test accuracy, %", xticks=(4, 6, 8, 10), ylim=(0, 100))
    axes.set_xlim(3.7, 10.2)
    axes.grid(axis="y", color="0.85")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center right", bbox_to_anchor=(1.0, 0.69))
    figure.savefig(HERE / "keeping.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
