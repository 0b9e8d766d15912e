"""``ssd-edge merge``: one model that knows what each learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import (
    FILE,
    data_root_option,
    keep_option,
    loading_options,
    lock_option,
    note_option,
    reading_options,
    sign_with_option,
)
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_saved, plain, say
from ssd_edge_runtime.errors import OptionError

if TYPE_CHECKING:
    from ssd_edge.data import Reading

EXAMPLE = """\b
Example:
  ssd-edge merge kitchen.onnx garage.onnx --base model.onnx -o merged.onnx
  ssd-edge merge *.onnx --base model.onnx --guard test.npz --leave-one-out -o merged.onnx
  ssd-edge merge a.onnx b.onnx --base model.onnx --rename b.onnx:emus=emu -o merged.onnx
"""


@click.command(cls=Command, short_help="One model that knows what each learned.", epilog=EXAMPLE)
@click.argument("models", metavar="MODEL MODEL...", type=FILE, nargs=-1, required=True)
@click.option(
    "--base", type=FILE, required=True, help="The file that all of them started from; it is counted once."
)
@click.option("-o", "--output", type=FILE, required=True, help="Where to write the merged model.")
@click.option(
    "--guard",
    metavar="DATA",
    shell_complete=offer_data,
    help="Labelled data on which accuracy must not fall below that of --base, or nothing is saved.",
)
@click.option("--max-drop", type=click.FloatRange(0, 1), default=0.0, help="Accuracy on --guard that may be lost.")
@click.option(
    "--leave-one-out", is_flag=True, help="Measure on --guard what each model adds, and name the one that harms."
)
@click.option(
    "--rename",
    "renames",
    multiple=True,
    metavar="MODEL:OLD=NEW",
    help="What a class of one MODEL is called in the result; repeatable.",
)
@click.option("--force", is_flag=True, help="Replace even a file that knows classes which the result does not.")
@note_option
@data_root_option
@reading_options
@keep_option
@lock_option
@sign_with_option
@loading_options
@common_options
def command(
    models: tuple[Path, ...],
    base: Path,
    output: Path,
    guard: str | None,
    max_drop: float,
    renames: tuple[str, ...],
    sign_with: Path | None,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    data_root: Path | None,
    reading: Reading,
    as_json: bool,
    **options: Any,
) -> None:
    """Merge two or more models with the analytic readout that learned on different devices from one file.

    The result equals one device that saw everything. Each lesson counts once: a model given twice, two files of
    one device, and a model that holds another are refused by name. Where --guard does not hold, nothing is saved
    and the status is 1.
    """
    from ssd_edge import on_device

    report = on_device.merge(
        models,
        base,
        output,
        guard=None if guard is None else on_device.Guard(guard, max_drop),
        rename=parsed(renames, models),
        root=data_root,
        reading=reading,
        loading=on_device.Loading(verify=verify),
        keys=on_device.Keys(sign_with, trusted, allow_older),
        tell=say,
        **options,
    )
    emit_saved(report, as_json, print_report)
    if not report["kept"]:
        raise click.exceptions.Exit(1)


def parsed(renames: Sequence[str], models: Sequence[Path]) -> dict[str, dict[str, str]]:
    """``b.onnx:emus=emu`` as ``{"b.onnx": {"emus": "emu"}}``; a path may hold a colon. Raises OptionError."""
    found: dict[str, dict[str, str]] = {}
    called = sorted({name for path in models for name in (str(path), path.name, path.stem)}, key=len)
    for text in renames:
        model = next((name for name in reversed(called) if text.startswith(f"{name}:")), text.partition(":")[0])
        old, sign, new = text[len(model) + 1 :].partition("=")
        OptionError.unless(bool(old and sign and new), f"rename must be MODEL:OLD=NEW, got {text!r}")
        found.setdefault(model, {})[old] = new
    return found


def print_report(report: dict[str, Any]) -> None:
    """What was merged, and what each part is good for."""
    for row in report.get("leave_one_out", ()):
        plain(f"{row['model']} adds {row['effect']:+.4f}: accuracy {row['without']:.4f} without it")
    if report.get("harms"):
        plain(f"{report['harms']} harms: without it more answers are right, beyond chance")
    if "guard" in report:
        guard = report["guard"]
        plain(f"accuracy on the guard data: {guard['before']:.4f} before, {guard['after']:.4f} after")
    known = f"{report['samples_seen']} samples, {len(report['classes'])} classes"
    if report["kept"]:
        plain(f"{report['file']}: {len(report['merged'])} models merged, {known}")
    else:
        plain(f"{report['file']}: not saved, because the guard data lost more than {report['guard']['max_drop']}")
