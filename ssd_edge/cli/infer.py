"""``ssd-edge infer``: label and confidence per sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import (
    FILE,
    StdinFormat,
    engine_options,
    loading_options,
    model_argument,
    require_stdin,
    stdin_format_option,
)
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge infer model.onnx photo.png
  ssd-edge infer model.onnx samples.npz photos/ --top 3 --reject-below 0.8 --json
  sensor | ssd-edge infer model.onnx -
"""


@click.command(short_help="Label and confidence per sample.", epilog=EXAMPLE)
@model_argument
@click.argument("inputs", metavar="INPUT...", type=FILE, nargs=-1, required=True)
@click.option("--top", type=click.IntRange(min=1), default=1, show_default=True, help="Best labels to show.")
@click.option(
    "--reject-below",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="CONFIDENCE",
    help="Answer 'unknown' below this confidence (JSON: null).",
)
@stdin_format_option
@engine_options
@loading_options
@common_options
def command(
    model: Path,
    inputs: tuple[Path, ...],
    top: int,
    reject_below: float,
    stdin_format: StdinFormat,
    engine: str,
    threads: int,
    verify: bool,
    as_json: bool,
) -> None:
    """Label every sample of each INPUT: an image, a folder of images, .npz, .npy or .csv.

    With - as the only INPUT, samples come on standard input, each answered by a line at once: JSON lines, or
    arrays as np.save writes them, one after another, of one sample or a batch.
    """
    from ssd_edge.on_device.inputs import load_inputs, load_model
    from ssd_edge.on_device.stream import infer_stream
    from ssd_edge_runtime.errors import OptionError

    edge = load_model(model, engine=engine, threads=threads, verify=verify)
    if Path("-") in inputs:
        if len(inputs) > 1:
            raise OptionError("-, standard input, must be the only INPUT")
        infer_stream(edge, lambda rows: answers_for(rows, edge.classes_, top, reject_below), stdin_format)
        return
    require_stdin(stdin_format)
    answers: list[dict[str, Any]] = []
    for path in inputs:
        x, sources = load_inputs(path, edge)
        rows = answers_for(edge.predict_proba(x), edge.classes_, top, reject_below)
        answers += [{**row, "source": source} for row, source in zip(rows, sources, strict=True)]
    if as_json:
        emit_json(answers)
        return
    width = max(len(answer["source"]) for answer in answers)
    for answer in answers:
        plain(f"{answer['source']:<{width}}  {as_text(answer)}")


def answers_for(
    probabilities: Any, classes: list[str], top: int = 1, reject_below: float = 0.0
) -> list[dict[str, Any]]:
    """``label``, ``confidence`` and, for ``top`` above 1, the best labels, per row of (N, C) probabilities."""
    order = (-probabilities).argsort(axis=1, kind="stable")[:, :top]
    answers = []
    for row, best in zip(probabilities, order, strict=True):
        ranked = [{"label": classes[i], "confidence": round(float(row[i]), 6)} for i in best]
        confidence = ranked[0]["confidence"]
        answer = {"label": ranked[0]["label"] if confidence >= reject_below else None, "confidence": confidence}
        answers.append(answer if top == 1 else {**answer, "top": ranked})
    return answers


def as_text(answer: dict[str, Any]) -> str:
    """``Trouser 0.98``, then the other candidates."""
    label = "unknown" if answer["label"] is None else answer["label"]
    others = [f"{other['label']} {other['confidence']:.3f}" for other in answer.get("top", [])]
    text = f"{label} {answer['confidence']:.3f}"
    return f"{text}  ({', '.join(others)})" if others else text
