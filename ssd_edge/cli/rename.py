"""``ssd-edge rename``: rename a class."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import model_argument, writing_options
from ssd_edge.cli.completion import offer_classes
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

EXAMPLE = """\b
Example:
  ssd-edge rename model.onnx 7 sneaker
"""


@click.command(cls=Command, short_help="Rename a class.", epilog=EXAMPLE)
@model_argument
@click.argument("old", shell_complete=offer_classes)
@click.argument("new")
@writing_options
@common_options
def command(
    model: Path,
    old: str,
    new: str,
    output: Path | None,
    note: str,
    keep: int,
    lock_timeout: float,
    sign_with: Path | None,
    as_json: bool,
) -> None:
    """Call the class OLD of MODEL by the name NEW from now on; nothing else changes."""
    from ssd_edge.on_device import Keys, Saving, rename

    saving = Saving(output, keep, lock_timeout, note)
    saved = rename(model, old, new, saving=saving, keys=Keys(sign_with), tell=say)
    if as_json:
        emit_json(saved)
    else:
        plain(f"{saved['file']}: {old} is now called {new} (generation {saved['generation']})")
