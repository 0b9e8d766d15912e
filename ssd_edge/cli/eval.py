"""``ssd-edge eval``: accuracy in all, per class, confusion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ssd_edge.cli.arguments import data_root_option, engine_options, loading_options, model_argument, split_option
from ssd_edge.cli.output import common_options, emit_json, plain, say
from ssd_edge_runtime.network.forward import softmax

EXAMPLE = """\b
Example:
  ssd-edge eval model.onnx test.npz
  ssd-edge eval model.onnx digits --json
"""
WORST = 5
BINS = 15


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
    from ssd_edge.on_device.inputs import load_labelled, load_model

    edge = load_model(model, engine=engine, threads=threads, verify=verify)
    dataset = load_labelled(data, edge, split=split, root=data_root)
    names = edge.classes_
    logits = edge.logits(dataset.x)
    predicted = np.array(names)[logits.argmax(axis=1)]
    report = evaluate(predicted, dataset.names, names)
    confidence = softmax(logits, edge.state.temperature).max(axis=1)
    report |= {"calibration": calibration(confidence, predicted == dataset.names), "engine": engine}
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


def calibration(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, Any]:
    """How far confidence can be believed: expected calibration error, and how often answers near 0.9 are right.

    ``error``: mean gap of confidence and accuracy over 15 equal bins, weighted by samples (Guo et al., ICML 2017).
    ``near_90``: answers of confidence .85 to .95; ``accuracy`` is null where there are none.
    """
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=BINS)
    near = (confidence >= 0.85) & (confidence < 0.95)
    accuracy = float(right[near].mean()) if near.any() else None
    return {
        "error": float(np.abs(gaps).sum() / len(right)),
        "near_90": {"n": int(near.sum()), "accuracy": accuracy},
    }


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
