"""``ssd-edge verify``: digest, structure, and the same logits from every engine here."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, fail, plain, require_torch

EXAMPLE = """\b
Example:
  ssd-edge verify model.onnx
  ssd-edge verify model.onnx --against runs/first
"""
MARKS = {True: "ok", False: "FAILED", None: "-"}


@click.command(
    cls=Command,
    headings={"--seconds": "Safety"},
    short_help="Check a file: digest, structure, the same logits from every engine.",
    epilog=EXAMPLE,
)
@model_argument
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="RUN",
    help="Also: that MODEL is what exporting RUN gives.",
)
@click.option(
    "--public-key",
    type=click.Path(path_type=Path),
    metavar="KEY",
    help="Also: that the owner of this key has signed MODEL.",
)
@click.option(
    "--memory", type=int, metavar="MIB", help="Most that running MODEL may take [1 GiB and more by size]."
)
@click.option("--seconds", type=float, default=120.0, show_default=True, help="Most that running MODEL may take.")
@common_options
def command(
    model: Path, against: Path | None, public_key: Path | None, memory: int | None, seconds: float, as_json: bool
) -> None:
    """Check MODEL's digest and structure, and that every engine installed here gives the same logits.

    Nothing of MODEL is run before structure, digest and signature are found good, and then in a process of its
    own, which may take 1 GiB beside what MODEL's size asks for, and two minutes, unless told otherwise; where it
    is stopped, that is the answer. Exit status 2 where a check fails.
    """
    if against is not None:
        require_torch("verifying against a run")
    from ssd_edge_export import verify

    limit = None if memory is None else memory << 20
    report = verify(model, against, public_key=public_key, memory=limit, seconds=seconds)
    if as_json:
        emit_json(report.as_dict())
    else:
        width = max(len(check.check) for check in report.checks)
        for check in report.checks:
            plain(f"{MARKS[check.ok]:<6} {check.check:<{width}}  {check.detail}")
    failed = [check for check in report.checks if check.ok is False]
    if failed:
        fail(f"{model}: {failed[0].check}: {failed[0].detail}")
