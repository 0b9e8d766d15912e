"""``ssd-edge rollback``: go back to an earlier generation."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import lock_option, model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge rollback model.onnx
  ssd-edge rollback model.onnx --to 3
"""


@click.command(cls=Command, short_help="Go back to an earlier generation.", epilog=EXAMPLE)
@model_argument
@click.option("--to", type=int, metavar="N", help="Number of the generation [default: the one before].")
@lock_option
@common_options
def command(model: Path, to: int | None, lock_timeout: float, as_json: bool) -> None:
    """Make an earlier generation of MODEL current; what was current is kept, so that one can return to it."""
    from ssd_edge.on_device import rollback

    row = rollback(model, to, lock_timeout=lock_timeout)
    if as_json:
        emit_json(row)
    else:
        plain(f"{model} is generation {row['generation']} again: {', '.join(row['classes'])}")
