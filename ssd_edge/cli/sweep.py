"""``ssd-edge sweep``: accuracy against density, criterion by criterion."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch
from ssd_edge.cli.prune import BUDGETS
from ssd_edge_runtime.errors import DataError, OptionError

if TYPE_CHECKING:
    from ssd_edge_export import SweepResult

EXAMPLE = """\b
Example:
  ssd-edge sweep runs/first --seeds 3 -o runs/first-sweep
  ssd-edge sweep runs/first --criteria sampled,lottery-ticket --densities 0.2,0.05 -o runs/tickets
"""
DOCUMENT, PICTURE = "sweep.json", "sweep.png"


@click.command(cls=Command, short_help="Accuracy against density, criterion by criterion.", epilog=EXAMPLE)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--criteria",
    default="activity,magnitude,sampled,random",
    show_default=True,
    help="What ranks weights; lottery-ticket, if named, trains RUN four times for every point.",
)
@click.option("--densities", default="0.5,0.2,0.1,0.05,0.02,0.01", show_default=True, help="Shares to keep.")
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="How many seeds.")
@click.option("--seed", type=int, default=0, show_default=True, help="The first of them.")
@click.option("--budget", type=click.Choice(BUDGETS), default="auto", show_default=True, help="As in prune.")
@click.option("--reserve", type=float, default=0.1, show_default=True, help="As in prune.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Training samples to fit on, at most.",
)
@click.option(
    "--measure-on",
    type=click.Choice(["auto", "hold-out", "test"]),
    default="auto",
    show_default=True,
    help="auto is the hold-out where RUN has one. Choose nothing on test.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write [RUN-sweep].")
@click.option("--force", is_flag=True, help="Replace an earlier sweep in that folder.")
@common_options
def command(
    runs: tuple[Path, ...],
    criteria: str,
    densities: str,
    seeds: int,
    seed: int,
    samples: int,
    output: Path | None,
    force: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Prune RUN by several criteria to several densities, and write what that costs as a picture and as JSON.

    Several runs, trained alike with different seeds, give one table. No run is changed. Needs the data that RUN
    was trained on.
    """
    require_torch("pruning")
    from ssd_edge.training.run_folder import check_trained
    from ssd_edge_export import SweepOptions

    drawn = tuple(range(seed, seed + seeds))
    chosen = SweepOptions(numbers(densities), items(criteria, "criteria"), drawn, most_samples=samples, **options)
    folder = output or runs[0].with_name(f"{runs[0].name}-sweep")
    if (folder / DOCUMENT).exists() and not force:
        raise DataError(f"{folder / DOCUMENT}: exists already; replace it with --force or name another with -o")
    for run in runs:
        check_trained(run)
    from ssd_edge.training import Run
    from ssd_edge_export import sweep

    with bar("sweeping") as progress:
        result = sweep([Run.load(run) for run in runs], chosen, progress=progress)
    folder.mkdir(parents=True, exist_ok=True)
    result.save(folder / DOCUMENT)
    result.plot(folder / PICTURE)
    if as_json:
        emit_json(result.as_dict())
    else:
        print_sweep(result)
        plain(f"wrote {folder / DOCUMENT} and {folder / PICTURE}")


def items(text: str, name: str) -> tuple[Any, ...]:
    """The parts of a list with commas; none of them empty, none twice."""
    parts = tuple(part.strip() for part in text.split(","))
    if "" in parts or len(set(parts)) < len(parts):
        raise OptionError(f"{name} must be names with commas between them, none twice, got {text!r}")
    return parts


def numbers(text: str) -> tuple[float, ...]:
    """Densities with commas between them."""
    try:
        return tuple(float(part) for part in items(text, "densities"))
    except ValueError as error:
        raise OptionError(f"densities must be numbers with commas between them, got {text!r}") from error


def print_sweep(result: SweepResult) -> None:
    """A row per criterion, a column per density."""
    table = result.summary()
    densities = list(next(iter(table.values())))
    plain(f"accuracy on {result.samples} {result.measured_on} samples; unpruned {result.unpruned:.4f}")
    plain(f"{'weights kept (%)':<18}" + "".join(f"{100 * density:>9g}" for density in densities))
    for criterion, by_density in table.items():
        plain(f"{criterion:<18}" + "".join(f"{mean:>9.4f}" for mean, _ in by_density.values()))
