"""``ssd-edge encoder``: a small encoder, trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import raw_reading_options
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch
from ssd_edge.cli.train import check_options, class_names, class_order

EXAMPLE = """\b
Example:
  ssd-edge encoder fashion-mnist --until-task 2 -o encoder.onnx
  ssd-edge train fashion-mnist --encoder encoder.onnx --method random --until-task 2 -o runs/behind
"""
FIRST = (
    *("--tasks", "--until-task", "--classes", "--width", "--epochs"),
    *("--hold-out", "--seed", "--device", "--output", "--force"),
)
"""Options to show before ``--help-all``."""


@click.command(cls=Command, first=FIRST, short_help="Train a small encoder for train --encoder.", epilog=EXAMPLE)
@click.argument("data", shell_complete=offer_data)
@click.option("--tasks", type=int, help="Tasks the classes are split into [5].")
@click.option("--until-task", type=int, help="Train on the classes of the first so many tasks [all].")
@click.option("--classes", callback=class_names, help="Only these classes, by name or index.")
@click.option("--class-order", callback=class_order, help="label, a seed, or all names in order [label].")
@click.option("--width", type=int, help="Values in an embedding, a multiple of 16 [768].")
@click.option("--epochs", type=int, help="Passes over the samples [1200 steps, at least 6 passes].")
@click.option("--batch-size", type=int, help="Samples per step [128].")
@click.option("--lr", type=float, help="Largest step size [0.002].")
@click.option("--shift", type=float, help="Samples are moved by up to this share of their sides [0.1].")
@click.option("--turns/--no-turns", default=None, help="Learn how samples were turned, too [yes].")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the images left to right [yes].")
@click.option("--hold-out", type=float, help="Share of the samples kept from training, to measure with [0].")
@click.option("--seed", type=int, help="Seeds the weights, the order and the changes made to samples [0].")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train [auto].")
@click.option("--data-root", type=click.Path(), help="Where local copies of data are looked for first.")
@raw_reading_options
@click.option("--force", is_flag=True, help="Replace an existing file.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="encoder.onnx", show_default=True, help="File."
)
@common_options
def command(data: str, output: Path, force: bool, as_json: bool, **options: Any) -> None:
    """Train a small convolutional encoder on the base classes of DATA and write it as an ordinary ONNX file.

    DATA holds images or windows of signals. The encoder learns to name classes and how a sample was turned, so
    that what it sees serves classes that come later, too. Give the file to train --encoder.
    """
    require_torch("training an encoder")
    given = {name: value for name, value in options.items() if value is not None}
    check_options({"data": data, **given})
    from ssd_edge.training import train_encoder

    with bar("training, steps") as progress:
        found = train_encoder(data, output=output, force=force, progress=progress, **given).report
    if as_json:
        emit_json(found)
    else:
        print_report(found)


def print_report(report: dict[str, Any]) -> None:
    """A few lines for a person."""
    shape = " x ".join(map(str, report["input_shape"]))
    plain(f"{shape} -> {report['width']}, {report['bytes']} bytes, from {report['samples']} samples")
    plain(f"classes: {', '.join(report['classes'])}")
    plain(f"training accuracy {report['training_accuracy']:.4f}, of naming class and turn")
    if report["hold_out_accuracy"] is not None:
        plain(f"hold-out accuracy {report['hold_out_accuracy']:.4f}, of naming the class")
    plain(f"{report['seconds']:.1f} s; wrote {report['out']}")
