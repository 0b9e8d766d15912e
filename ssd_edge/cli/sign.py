"""``ssd-edge sign``: say who made a file."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE, lock_option, model_argument
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge sign model.onnx --key builder.key
"""


@click.command(short_help="Sign a file.", epilog=EXAMPLE)
@model_argument
@click.option("--key", type=FILE, required=True, help="Private key, as keygen writes it.")
@lock_option
@common_options
def command(model: Path, key: Path, lock_timeout: float, as_json: bool) -> None:
    """Sign MODEL as it is now; the signature stands beside it, in MODEL.sig. Needs the [sign] extra."""
    from ssd_edge_runtime import storage
    from ssd_edge_runtime.storage import signing

    with storage.locked(model, lock_timeout):
        digest = signing.sign(model, key)
    signature = signing.signature_path(model)
    if as_json:
        emit_json({"file": str(model), "digest": digest, "signature": str(signature)})
    else:
        plain(f"{signature}: signature of {digest[:12]}...")
