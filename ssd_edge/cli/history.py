"""``ssd-edge history``: earlier generations of a file, and what happened to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

EXAMPLE = """\b
Example:
  ssd-edge history model.onnx
"""
SHOWN = 5
"""Classes named in a line."""


@click.command(cls=Command, short_help="Earlier generations of a file.", epilog=EXAMPLE)
@model_argument
@common_options
def command(model: Path, as_json: bool) -> None:
    """List MODEL and its earlier generations, the newest first, with what each had learned and grew from.

    Then what happened before these, and on the devices that were merged into MODEL, as the file tells it.
    """
    from ssd_edge.on_device import history

    document = history(model)
    if as_json:
        emit_json(document)
        return
    for row in document["generations"]:
        plain(as_text(row))
    if document["rolled_back_from"] is not None:
        say(f"note: {model} was rolled back from generation {document['rolled_back_from']}")
    shown = [row["entry"] for row in document["generations"]]
    others = [entry for entry in document["entries"] if {**entry, "file": ""} not in shown]
    if others:
        plain("before, and elsewhere:")
    for entry in others:
        of = f"  of {entry['file']}" if entry["file"] else ""
        plain(f"  {entry['generation']:>4}  {entry['time'] or 'no date'}{of}  {told(entry)}")


def as_text(row: dict[str, Any]) -> str:
    """One line per generation; ``*`` marks the current one."""
    mark, time = "*" if row["current"] else " ", row["time"] or f"{'no date':<25}"
    if row["problem"]:
        return f"{mark} {row['generation']:>4}  {time}  damaged: {row['problem']}"
    after = f"  after {row['previous'][:12]}" if row["previous"] else ""
    made = f"  {told(row['entry'])}" if row["entry"] else ""
    return (
        f"{mark} {row['generation']:>4}  {time}  {row['samples']:>8} samples  "
        f"{len(row['classes']):>4} classes  {row['digest'][:12]}{after}{made}"
    )


def told(entry: dict[str, Any]) -> str:
    """What was done, with which samples, from where, how good it was and who signed."""
    parts = [f"{count:+} {name}" for name, count in list(entry["samples"].items())[:SHOWN]]
    rest = sum(list(entry["samples"].values())[SHOWN:]) + entry["others"]
    if rest:
        parts.append(f"{rest:+} of other classes")
    parts += [f"{old} is now {new}" for old, new in entry["renamed"].items()]
    told = " ".join(text for text in (entry["verb"], entry["what"]) if text)
    told += f": {', '.join(parts)}" if parts else ""
    told += f"; {entry['note']}" if entry["note"] else ""
    told += f"; accuracy {entry['guard']:.4f}" if entry["guard"] is not None else ""
    return told + (f"; signed by {entry['signer']}" if entry["signer"] else "")
