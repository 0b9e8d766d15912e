"""``ssd-edge sign``: say who made a file."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE, lock_option, model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge sign model.onnx --key builder.key
"""


@click.command(cls=Command, short_help="Sign a file.", epilog=EXAMPLE)
@model_argument
@click.option("--key", type=FILE, required=True, help="Private key, as keygen writes it.")
@lock_option
@common_options
def command(model: Path, key: Path, lock_timeout: float, as_json: bool) -> None:
    """Sign MODEL as it is now; the signature stands beside it, in MODEL.sig. Needs the [sign] extra."""
    from ssd_edge.on_device import sign

    signed = sign(model, key, lock_timeout=lock_timeout)
    if as_json:
        emit_json(signed)
    else:
        plain(f"{signed['signature']}: signature of {signed['digest'][:12]}...")
