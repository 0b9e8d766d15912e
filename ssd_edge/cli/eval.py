"""``ssd-edge eval``: accuracy in all, per class, confusion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import (
    data_root_option,
    engine_options,
    loading_options,
    model_argument,
    reading_options,
    scale_option,
    split_option,
)
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

if TYPE_CHECKING:
    from ssd_edge.data import Reading

EXAMPLE = """\b
Example:
  ssd-edge eval model.onnx test.npz
  ssd-edge eval model.onnx digits --json
"""
WORST = 5


@click.command(cls=Command, short_help="Accuracy in all, per class, confusion.", epilog=EXAMPLE)
@model_argument
@click.argument("data", shell_complete=offer_data)
@split_option("test")
@data_root_option
@reading_options
@scale_option
@engine_options
@loading_options
@common_options
def command(
    model: Path,
    data: str,
    split: str,
    data_root: Path | None,
    reading: Reading,
    scale_strict: bool,
    engine: str,
    threads: int,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    as_json: bool,
) -> None:
    """Measure the accuracy of MODEL on DATA: .npz, .csv, a folder of class folders, or a built-in name.

    Samples of classes that the model does not know count as wrong.
    """
    from ssd_edge.on_device import Keys, Loading, evaluate

    loading = Loading(engine, threads, verify, scale_strict)
    keys = Keys(trusted=trusted, allow_older=allow_older)
    report = evaluate(
        model, data, split=split, root=data_root, reading=reading, loading=loading, keys=keys, tell=say
    )
    if as_json:
        emit_json(report)
    else:
        print_report(report)


def print_report(report: dict[str, Any]) -> None:
    """Accuracy, accuracy per class, and what is mistaken most often."""
    plain(f"accuracy {report['accuracy']:.4f} on {report['n']} samples")
    width = max(map(len, report["per_class"]))
    for name, accuracy in report["per_class"].items():
        plain(f"  {name:<{width}}  {accuracy:.4f}")
    known = report["calibration"]
    if known["near_90"]["n"]:
        plain(
            f"of {known['near_90']['n']} answers near confidence 0.9, {known['near_90']['accuracy']:.3f} are right"
        )
    confusion = report["confusion"]
    mistakes = [
        (count, actual, predicted)
        for actual, counts in zip(confusion["actual"], confusion["counts"], strict=True)
        for predicted, count in zip(confusion["predicted"], counts, strict=True)
        if count and actual != predicted
    ]
    for count, actual, predicted in sorted(mistakes, reverse=True)[:WORST]:
        plain(f"  {count} of {actual} taken for {predicted}")
