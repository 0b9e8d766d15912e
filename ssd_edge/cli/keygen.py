"""``ssd-edge keygen``: a key pair for signatures."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge keygen device.key
"""


@click.command(cls=Command, short_help="Make a key pair for signatures.", epilog=EXAMPLE)
@click.argument("key", type=FILE)
@common_options
def command(key: Path, as_json: bool) -> None:
    """Write a new private key to KEY, for its owner alone, and the public key to KEY.pub.

    Ed25519, in PEM without a password, as openssl reads and writes it. Needs the [sign] extra.
    """
    from ssd_edge.on_device import keygen

    pair = keygen(key)
    if as_json:
        emit_json(pair)
    else:
        plain(f"{pair['private_key']}: keep it secret; {pair['public_key']}: give it to those who shall trust it")
