"""``ssd-edge history``: earlier generations of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge history model.onnx
"""


@click.command(cls=Command, short_help="Earlier generations of a file.", epilog=EXAMPLE)
@model_argument
@common_options
def command(model: Path, as_json: bool) -> None:
    """List MODEL and its earlier generations, the newest first, with what each had learned and grew from."""
    from ssd_edge.on_device import history

    document = history(model)
    if as_json:
        emit_json(document)
        return
    for row in document["generations"]:
        plain(as_text(row))


def as_text(row: dict[str, Any]) -> str:
    """One line per generation; ``*`` marks the current one."""
    mark, time = "*" if row["current"] else " ", row["time"] or f"{'no date':<25}"
    if row["problem"]:
        return f"{mark} {row['generation']:>4}  {time}  damaged: {row['problem']}"
    after = f"  after {row['previous'][:12]}" if row["previous"] else ""
    return (
        f"{mark} {row['generation']:>4}  {time}  {row['samples']:>8} samples  "
        f"{len(row['classes']):>4} classes  {row['digest'][:12]}{after}"
    )
