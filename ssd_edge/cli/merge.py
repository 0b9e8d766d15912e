"""``ssd-edge merge``: one model that knows what each learned."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import FILE, keep_option, loading_options, lock_option, sign_with_option
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge merge kitchen.onnx garage.onnx --base model.onnx -o merged.onnx
"""


@click.command(short_help="One model that knows what each learned.", epilog=EXAMPLE)
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
    models: tuple[Path, ...], base: Path, output: Path, keep: int, lock_timeout: float, verify: bool, as_json: bool
) -> None:
    """Merge two or more models with the analytic readout that learned on different devices from one file.

    The result equals one device that saw everything.
    """
    from ssd_edge.on_device.inputs import load_model
    from ssd_edge.on_device.transaction import Change, check_signing
    from ssd_edge_runtime import EdgeModel, storage
    from ssd_edge_runtime.errors import OptionError

    if len(models) < 2:
        raise OptionError(f"merge needs at least two models, got {len(models)}")
    check_signing()
    start = load_model(base, verify=verify)
    merged = EdgeModel.merge([load_model(path, verify=verify) for path in models], base=start)
    with storage.locked(output, lock_timeout):
        saved = Change(merged, output, keep).save() | {"merged": [str(path) for path in models]}
    if as_json:
        emit_json(saved)
    else:
        known = f"{saved['samples_seen']} samples, {len(saved['classes'])} classes"
        plain(f"{output}: {len(models)} models merged, {known}")
