"""``ssd-edge infer``: label and confidence per sample."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import (
    FILE,
    engine_options,
    loading_options,
    model_argument,
    reading_options,
    require_stdin,
    scale_option,
    stdin_format_option,
)
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, emit_line, plain, say

if TYPE_CHECKING:
    from ssd_edge.data import Reading
    from ssd_edge.on_device.stream_input import StreamFormat

EXAMPLE = """\b
Example:
  ssd-edge infer model.onnx photo.png
  ssd-edge infer model.onnx samples.npz photos/ --top 3 --reject-below 0.8 --json
  sensor | ssd-edge infer model.onnx -
"""


@click.command(cls=Command, short_help="Label and confidence per sample.", epilog=EXAMPLE)
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
@reading_options
@scale_option
@engine_options
@loading_options
@common_options
def command(
    model: Path,
    inputs: tuple[Path, ...],
    top: int,
    reject_below: float,
    stdin_format: StreamFormat,
    reading: Reading,
    scale_strict: bool,
    engine: str,
    threads: int,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    as_json: bool,
) -> None:
    """Label every sample of each INPUT: an image, a folder of images, .npz, .npy or .csv.

    With - as the only INPUT, samples come on standard input, each answered by a line at once: JSON lines, or
    arrays as np.save writes them, one after another, of one sample or a batch.
    """
    from ssd_edge import on_device
    from ssd_edge_runtime.errors import OptionError

    opening: dict[str, Any] = {
        "loading": on_device.Loading(engine, threads, verify, scale_strict),
        "keys": on_device.Keys(trusted=trusted, allow_older=allow_older),
        "tell": say,
    }
    if Path("-") in inputs:
        OptionError.unless(len(inputs) == 1, "-, standard input, must be the only INPUT")
        on_device.infer_stream(
            model, sys.stdin.buffer, emit_line, top=top, reject_below=reject_below, form=stdin_format, **opening
        )
        return
    require_stdin(stdin_format)
    answers = on_device.infer(model, *inputs, top=top, reject_below=reject_below, reading=reading, **opening)
    if as_json:
        emit_json(answers)
        return
    width = max(len(answer["source"]) for answer in answers)
    for answer in answers:
        plain(f"{answer['source']:<{width}}  {as_text(answer)}")


def as_text(answer: dict[str, Any]) -> str:
    """``Trouser 0.98``, then the other candidates."""
    label = "unknown" if answer["label"] is None else answer["label"]
    others = [f"{other['label']} {other['confidence']:.3f}" for other in answer.get("top", [])]
    text = f"{label} {answer['confidence']:.3f}"
    return f"{text}  ({', '.join(others)})" if others else text
