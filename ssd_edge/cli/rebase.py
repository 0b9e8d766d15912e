"""``ssd-edge rebase``: carry what a device learned over to a new base file."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE, keep_option, loading_options, lock_option, note_option, sign_with_option
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_saved, plain, say

EXAMPLE = """\b
Example:
  ssd-edge rebase device.onnx --from january.onnx --onto february.onnx -o device.onnx
"""


@click.command(cls=Command, short_help="Carry what a device learned over to a new base.", epilog=EXAMPLE)
@click.argument("mine", type=FILE)
@click.option("--from", "old", type=FILE, required=True, help="The file that MINE started from.")
@click.option("--onto", "new", type=FILE, required=True, help="The file that takes its place.")
@click.option("-o", "--output", type=FILE, required=True, help="Where to write the result; may be MINE.")
@click.option("--force", is_flag=True, help="Replace even a file that knows classes which the result does not.")
@note_option
@keep_option
@lock_option
@sign_with_option
@loading_options
@common_options
def command(
    mine: Path,
    old: Path,
    new: Path,
    output: Path,
    force: bool,
    note: str,
    keep: int,
    lock_timeout: float,
    sign_with: Path | None,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    as_json: bool,
) -> None:
    """Add what MINE has learned since the old base file to the new one, exactly (closed form only).

    For a roll-out to a device that has learned in the meantime. All three need the same features; what MINE has
    forgotten stays forgotten.
    """
    from ssd_edge.on_device import Keys, Loading, rebase

    saved = rebase(
        mine,
        old,
        new,
        output,
        force=force,
        note=note,
        keep=keep,
        lock_timeout=lock_timeout,
        loading=Loading(verify=verify),
        keys=Keys(sign_with, trusted, allow_older),
        tell=say,
    )
    emit_saved(
        saved, as_json, lambda report: plain(f"{output}: {report['carried']} samples of {mine} on top of {new}")
    )
