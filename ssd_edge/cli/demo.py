"""``ssd-edge demo``: the whole job on an embedded data set."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import FILE
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, draw, emit_json, on_terminal, plain, say

EXAMPLE = """\b
Example:
  ssd-edge demo
  ssd-edge demo -o /tmp/demo --json
"""


@click.command(cls=Command, short_help="The whole job on an embedded data set, in under a minute.", epilog=EXAMPLE)
@click.option(
    "-o", "--output", type=FILE, default=Path("ssd-edge-demo"), show_default=True, help="Folder for its files."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of training and pruning.")
@common_options
def command(output: Path, seed: int, as_json: bool) -> None:
    """Train on eight digits, prune, export, learn two more on the "device", forget one, and measure.

    The device is a process that cannot import torch. Takes less than a minute on two cores; needs the train extra.
    """
    from rich.console import Console

    from ssd_edge.demo import run_demo

    status = Console(stderr=True).status("starting") if on_terminal() else nullcontext()
    with status as spinner:
        tell = say if spinner is None else spinner.update
        summary = run_demo(output, seed=seed, tell=tell)
    if as_json:
        emit_json(summary)
    else:
        print_summary(summary)


def print_summary(summary: dict[str, Any]) -> None:
    """The story as one table and three lines."""
    draw(lambda console: console.print(steps_table(summary["steps"])))
    for line in lines_of(summary):
        plain(line)


def steps_table(steps: list[dict[str, Any]]) -> Any:
    """Accuracy on test images after each step."""
    from rich.table import Table

    table = Table(title="Accuracy on test images", title_justify="left", header_style="bold")
    table.add_column("after this step")
    table.add_column("where")
    for heading in ("classes", "0 to 7", "8 and 9", "all known"):
        table.add_column(heading, justify="right")
    for step in steps:
        shares = [f"{step[key]:.1%}" if key in step else "-" for key in ("old", "new")]
        table.add_row(step["step"], step["where"], str(len(step["classes"])), *shares, f"{step['all']:.1%}")
    return table


def lines_of(summary: dict[str, Any]) -> list[str]:
    """What was learned, how large, how fast, where the files are; figures of this run."""
    from ssd_edge_bench.report.units import duration, size

    steps, sizes, latency = summary["steps"], summary["size"], summary["latency"]
    exported, learned, forgot = steps[1:]
    smaller = sizes["dense_float32_bytes"] / sizes["inference_bytes"]
    gone = ", ".join(name for name in learned["classes"] if name not in forgot["classes"])
    lines = [
        f"Learned on the device, without torch and without the earlier data: {learned['samples']} images of "
        f"{' and '.join(learned['added'])} in {duration(learned['seconds'] * 1e6)}.",
        f"Kept: {learned['old']:.1%} of the first eight digits are still right, {exported['old']:.1%} before.",
        f"Forgotten: {gone} is no longer an answer; {forgot['all']:.1%} of the other digits are right.",
        f"File: {size(sizes['inference_bytes'])} to predict; the same function dense takes "
        f"{size(sizes['dense_float32_bytes'])}, {smaller:.1f} times as much. "
        f"With all that learning needs: {size(sizes['with_learning_state_bytes'])}.",
    ]
    speed = f"Speed, one image on one thread: predict {duration(latency['predict_us'])}"
    dense = latency.get("predict_onnxruntime_dense_us")
    if dense is not None:
        speed += f" (ONNX Runtime, dense: {duration(dense)})"
    lines.append(f"{speed}, learn {duration(latency['learn_us'])}.")
    if dense is not None and dense < latency["predict_us"]:
        lines.append("A network for 8 x 8 pixels is too small to be faster sparse; from 784 inputs on it is.")
    return [*lines, f"Everything took {summary['seconds']:.0f} s; the files are in {summary['out']}."]
