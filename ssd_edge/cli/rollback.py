"""``ssd-edge rollback``: go back to an earlier generation."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ssd_edge.cli.arguments import lock_option, model_argument, trusted_option
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge rollback model.onnx
  ssd-edge rollback model.onnx --to 3
  ssd-edge rollback model.onnx --to 5f1c09aa
"""


NAME = re.compile("[0-9]{1,19}|[0-9a-fA-F]{4,64}")


def checked_name(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Refuse what no generation could be called."""
    if value is not None and not NAME.fullmatch(value):
        raise click.BadParameter(f"{value!r} is neither a number nor at least four digits of a digest")
    return value


@click.command(cls=Command, short_help="Go back to an earlier generation.", epilog=EXAMPLE)
@model_argument
@click.option(
    "--to",
    metavar="N|DIGEST",
    callback=checked_name,
    help="Number of the generation, or the first digits of its digest [default: the one before].",
)
@lock_option
@trusted_option
@common_options
def command(model: Path, to: str | None, lock_timeout: float, trusted: tuple[Path, ...], as_json: bool) -> None:
    """Make an earlier generation of MODEL current; what was current is kept, so that one can return to it.

    Without --to, the one whose place the current one took, whatever has been tried and rejected since.
    """
    from ssd_edge.on_device import Keys, rollback

    row = rollback(model, to, lock_timeout=lock_timeout, keys=Keys(trusted=trusted))
    if as_json:
        emit_json(row)
    else:
        plain(f"{model} is generation {row['generation']} again: {', '.join(row['classes'])}")
