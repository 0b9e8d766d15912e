"""``ssd-edge merge``: one model that knows what each learned."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE, keep_option, loading_options, lock_option, sign_with_option
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

EXAMPLE = """\b
Example:
  ssd-edge merge kitchen.onnx garage.onnx --base model.onnx -o merged.onnx
"""


@click.command(cls=Command, short_help="One model that knows what each learned.", epilog=EXAMPLE)
@click.argument("models", metavar="MODEL MODEL...", type=FILE, nargs=-1, required=True)
@click.option(
    "--base", type=FILE, required=True, help="The file that all of them started from; it is counted once."
)
@click.option("-o", "--output", type=FILE, required=True, help="Where to write the merged model.")
@keep_option
@lock_option
@sign_with_option
@loading_options
@common_options
def command(
    models: tuple[Path, ...],
    base: Path,
    output: Path,
    keep: int,
    lock_timeout: float,
    sign_with: Path | None,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    as_json: bool,
) -> None:
    """Merge two or more models with the analytic readout that learned on different devices from one file.

    The result equals one device that saw everything.
    """
    from ssd_edge.on_device import Keys, Loading, merge

    saved = merge(
        models,
        base,
        output,
        keep=keep,
        lock_timeout=lock_timeout,
        loading=Loading(verify=verify),
        keys=Keys(sign_with, trusted, allow_older),
        tell=say,
    )
    if as_json:
        emit_json(saved)
    else:
        known = f"{saved['samples_seen']} samples, {len(saved['classes'])} classes"
        plain(f"{output}: {len(models)} models merged, {known}")
