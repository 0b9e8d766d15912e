"""``ssd-edge compare``: methods x seeds, one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.completion import offer_data, offer_methods
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch, say
from ssd_edge.cli.terminal import INTERRUPTED
from ssd_edge.cli.train import TrainingCommand, check_options, merged, training_options, whole_numbers

EXAMPLE = """\b
Example:
  ssd-edge compare digits --methods ssd,sdmlp,ssd+analytic --seeds 3 --epochs 20 --hidden 200
"""
FIRST = (
    *("--methods", "--seeds", "--encoder", "--hidden", "--tasks"),
    *("--epochs", "--jobs", "--config", "--output", "--resume"),
)
"""Options to show before ``--help-all``."""


@click.command(cls=TrainingCommand, epilog=EXAMPLE, first=FIRST)
@click.argument("data", required=False, shell_complete=offer_data)
@click.option(
    "--methods",
    shell_complete=offer_methods,
    help="Joined by commas: ssd,ssd+ewc,ssd+analytic. See docs/reference/methods.md.",
)
@click.option("--seeds", type=int, help="Runs per method [3].")
@click.option("--widths", callback=whole_numbers, help="Every method at each of these numbers of neurons.")
@click.option("--jobs", type=int, help="Processes side by side [one per core; one on a GPU].")
@training_options
@click.option("--resume", is_flag=True, help="Keep the runs that are in -o.")
@click.option("--force", is_flag=True, help="Replace what is in -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder [runs/compare-DATA].")
@common_options
def command(
    data: str | None,
    methods: str | None,
    config: Path | None,
    resume: bool,
    force: bool,
    output: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train several methods with several seeds and print one table: mean and standard deviation.

    The closed-form row (random+analytic) and the joint row stand beside them always. Rows that differ in options
    come from a TOML file with [[row]] tables, such as docs/lab/ablations/ssd.toml.
    """
    require_torch("comparing")
    given = {name: value for name, value in options.items() if value is not None and value not in ((), {})}
    values = merged(config, data, given)
    check_options(values)
    from ssd_edge.comparison import compare

    rows = values.pop("row", [])
    names = methods.split(",") if methods else values.pop("methods", [])
    folder = output or Path("runs") / f"compare-{Path(str(values['data'])).stem}"
    place: dict[str, Any] = {"output": folder, "resume": resume, "force": force}
    try:
        with bar("comparing, runs") as progress, bar("encoding, samples") as encoding:
            values |= {"progress": progress, "encoding": encoding}
            result = compare(values.pop("data"), names, rows=rows, **place, **values)
    except KeyboardInterrupt:
        say(f"stopped; finished runs are kept: go on with the same command, --resume and -o {folder}")
        sys.exit(INTERRUPTED)
    if as_json:
        emit_json(result.document)
    else:
        for line in result.text().split("\n"):
            plain(line)
        say(f"written to {folder}: table.txt, comparison.json, plots, raw figures")
