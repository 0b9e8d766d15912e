"""``ssd-edge forget``: remove a class, or unlearn samples."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import (
    data_root_option,
    model_argument,
    reading_options,
    scale_option,
    split_option,
    threads_option,
    writing_options,
)
from ssd_edge.cli.completion import offer_classes, offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

if TYPE_CHECKING:
    from ssd_edge.data import Reading

EXAMPLE = """\b
Example:
  ssd-edge forget model.onnx --class bag --purge
  ssd-edge forget model.onnx --data mislabeled.npz
"""


FIRST = (
    *("--class", "--data", "--purge", "--split", "--label-column"),
    *("--output", "--keep", "--note", "--sign-with", "--json"),
)
"""Options to show before ``--help-all``."""


@click.command(cls=Command, first=FIRST, short_help="Remove a class, or unlearn samples.", epilog=EXAMPLE)
@model_argument
@click.option(
    "--class",
    "classes",
    metavar="NAME",
    multiple=True,
    shell_complete=offer_classes,
    help="A class to remove; may be repeated.",
)
@click.option(
    "--data",
    metavar="DATA",
    shell_complete=offer_data,
    help="Samples to unlearn; gradient readout: samples of all classes.",
)
@click.option("--purge", is_flag=True, help="Also delete the earlier generations, which still know.")
@split_option("all")
@data_root_option
@reading_options
@scale_option
@threads_option
@writing_options
@common_options
def command(
    model: Path,
    classes: tuple[str, ...],
    data: str | None,
    purge: bool,
    split: str,
    data_root: Path | None,
    reading: Reading,
    scale_strict: bool,
    output: Path | None,
    note: str,
    keep: int,
    lock_timeout: float,
    sign_with: Path | None,
    threads: int,
    as_json: bool,
) -> None:
    """Make MODEL forget: a class by name, or samples that it has learned, exactly as if it had not.

    Without --data the class is removed from the answers. With it, a closed-form readout loses the samples of the
    class exactly; in a gradient readout the weights that served it are dampened (Selective Synaptic Dampening),
    judged by the samples of the other classes in DATA, and what that cost these is reported.
    """
    from ssd_edge.on_device import Keys, Loading, Saving, forget

    report = forget(
        model,
        classes,
        data,
        purge=purge,
        split=split,
        root=data_root,
        reading=reading,
        saving=Saving(output, keep, lock_timeout, note),
        loading=Loading(threads=threads, scale_strict=scale_strict),
        keys=Keys(sign_with),
        tell=say,
    )
    if as_json:
        emit_json(report)
    else:
        print_report(report)


def print_report(report: dict[str, Any]) -> None:
    """What was forgotten, what it cost, and what still knows it."""
    for row in report["dampened"]:
        cost = f"{row['accuracy_before']:.4f} before, {row['accuracy_after']:.4f} after"
        plain(f"{row['class']}: {row['dampened']} of {row['weights']} weights dampened; the other classes: {cost}")
    what = [f"class {name}" for name in report["forgotten"]]
    if report["unlearned"]:
        what.append(f"{report['unlearned']} samples")
    plain(f"{report['file']}: forgot {', '.join(what)}; knows {', '.join(report['classes'])}")
    plain(
        "no earlier generation is left"
        if report["purged"]
        else "earlier generations still know: --purge deletes them"
    )
