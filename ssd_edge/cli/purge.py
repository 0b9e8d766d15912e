"""``ssd-edge purge``: delete earlier generations."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import lock_option, model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge purge model.onnx
"""


@click.command(cls=Command, short_help="Delete the earlier generations of a file.", epilog=EXAMPLE)
@model_argument
@lock_option
@common_options
def command(model: Path, lock_timeout: float, as_json: bool) -> None:
    """Delete the earlier generations of MODEL, which still know what it was made to forget.

    What cannot be deleted is an error; called again, this deletes what is left.
    """
    from ssd_edge.on_device import purge

    report = purge(model, lock_timeout=lock_timeout)
    if as_json:
        emit_json(report)
    else:
        plain(f"{report['file']}: no earlier generation is left, {report['purged']} deleted")
