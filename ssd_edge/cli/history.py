"""``ssd-edge history``: earlier generations of a file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import model_argument
from ssd_edge.cli.output import common_options, emit_json, plain

if TYPE_CHECKING:
    from ssd_edge_runtime.storage import Generation

EXAMPLE = """\b
Example:
  ssd-edge history model.onnx
"""


@click.command(short_help="Earlier generations of a file.", epilog=EXAMPLE)
@model_argument
@common_options
def command(model: Path, as_json: bool) -> None:
    """List MODEL and its earlier generations, the newest first, with what each had learned."""
    from ssd_edge_runtime import storage

    generations = [describe(generation) for generation in storage.history(model)]
    if as_json:
        emit_json({"file": str(model), "generations": generations})
        return
    for row in generations:
        plain(as_text(row))


def describe(generation: Generation) -> dict[str, Any]:
    """A generation as JSON; ``time`` in UTC by the clock of the moment it was written."""
    return {
        "generation": generation.number,
        "current": generation.current,
        "time": datetime.fromtimestamp(generation.time, UTC).isoformat(timespec="seconds"),
        "samples": generation.samples,
        "classes": generation.classes,
        "file_bytes": generation.file_bytes,
        "digest": generation.digest,
        "parent": generation.parent,
        "problem": generation.problem,
    }


def as_text(row: dict[str, Any]) -> str:
    """One line per generation; ``*`` marks the current one."""
    mark = "*" if row["current"] else " "
    if row["problem"]:
        return f"{mark} {row['generation']:>4}  {row['time']}  damaged: {row['problem']}"
    return (
        f"{mark} {row['generation']:>4}  {row['time']}  {row['samples']:>8} samples  "
        f"{len(row['classes']):>4} classes  {row['digest'][:12]}"
    )
