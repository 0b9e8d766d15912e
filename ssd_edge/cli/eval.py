"""``ssd-edge eval``: accuracy in all, per class, confusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ssd_edge.cli.arguments import data_root_option, engine_options, loading_options, model_argument, split_option
from ssd_edge.cli.output import common_options, emit_json, plain, say

EXAMPLE = """\b
Example:
  ssd-edge eval model.onnx test.npz
  ssd-edge eval model.onnx digits --json
"""
WORST = 5


@click.command(short_help="Accuracy in all, per class, confusion.", epilog=EXAMPLE)
@model_argument
@click.argument("data")
@split_option("test")
@data_root_option
@engine_options
@loading_options
@common_options
def command(
    model: Path,
    data: str,
    split: str,
    data_root: Path | None,
    engine: str,
    threads: int,
    verify: bool,
    as_json: bool,
) -> None:
    """Measure the accuracy of MODEL on DATA: .npz, .csv, a folder of class folders, or a built-in name.

    Samples of classes that the model does not know count as wrong.
    """
    from ssd_edge.cli.models import load_labelled, load_model

    edge = load_model(model, engine=engine, threads=threads, verify=verify)
    dataset = load_labelled(data, edge, split=split, root=data_root)
    names = edge.classes_
    report = evaluate(np.asarray(edge.predict(dataset.x)), dataset.names, names) | {"engine": engine}
    unknown = [name for name in report["per_class"] if name not in names]
    if unknown:
        say(f"note: the model does not know {', '.join(unknown)}")
    if as_json:
        emit_json(report)
    else:
        print_report(report)


def evaluate(predicted: NDArray[Any], actual: NDArray[Any], classes: list[str]) -> dict[str, Any]:
    """Accuracy, ``n``, accuracy per class that occurs, and the confusion matrix (rows: actual class)."""
    present = [name for name in classes if (actual == name).any()]
    strangers = sorted({str(name) for name in actual.tolist()} - set(classes))
    rows = present + strangers
    right = predicted == actual
    return {
        "accuracy": float(right.mean()),
        "n": len(actual),
        "per_class": {name: float(right[actual == name].mean()) for name in rows},
        "confusion": {
            "actual": rows,
            "predicted": classes,
            "counts": [[int((predicted[actual == row] == column).sum()) for column in classes] for row in rows],
        },
    }


def print_report(report: dict[str, Any]) -> None:
    """Accuracy, accuracy per class, and what is mistaken most often."""
    plain(f"accuracy {report['accuracy']:.4f} on {report['n']} samples")
    width = max(map(len, report["per_class"]))
    for name, accuracy in report["per_class"].items():
        plain(f"  {name:<{width}}  {accuracy:.4f}")
    confusion = report["confusion"]
    mistakes = [
        (count, actual, predicted)
        for actual, counts in zip(confusion["actual"], confusion["counts"], strict=True)
        for predicted, count in zip(confusion["predicted"], counts, strict=True)
        if count and actual != predicted
    ]
    for count, actual, predicted in sorted(mistakes, reverse=True)[:WORST]:
        plain(f"  {count} of {actual} taken for {predicted}")
