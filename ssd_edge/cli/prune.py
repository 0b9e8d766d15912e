"""``ssd-edge prune``: prune a run to its Top-K-active weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ssd_edge.cli.output import common_options, emit_json, passes, plain, progress
from ssd_edge.cli.training_extra import require_torch
from ssd_edge_runtime.errors import DataError, OptionError

EXAMPLE = """\b
Example:
  ssd-edge prune runs/first --density 0.05 -o runs/first-5
  ssd-edge prune runs/first --density 0.02 --criterion magnitude --fine-tune-epochs 10 -o runs/first-2
  ssd-edge prune runs/first --sweep --seeds 3 -o runs/first-sweep
  ssd-edge prune runs/first --sweep --criteria sampled,lottery-ticket --densities 0.2,0.05 -o runs/tickets
"""
CRITERIA = ("auto", "activity", "magnitude", "sampled", "random", "lottery-ticket")
BUDGETS = ("auto", "row", "firing", "layer", "global")


@click.command(short_help="Prune a run to its Top-K-active weights.", epilog=EXAMPLE)
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--density", type=float, default=0.05, show_default=True, help="Share of the weights to keep.")
@click.option(
    "--criterion",
    type=click.Choice(CRITERIA),
    default="auto",
    show_default=True,
    help="What ranks weights; auto is sampled for learned weights, else random.",
)
@click.option(
    "--budget",
    type=click.Choice(BUDGETS),
    default="auto",
    show_default=True,
    help="What keeps its share: every row; rows by how often their neuron fires; every layer; the network. "
    "auto is firing for a trained readout with all its tasks behind it, else row.",
)
@click.option(
    "--reserve",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of the neurons, the least active, that keep a random sparse row for tasks to come.",
)
@click.option("--drop-inactive", is_flag=True, help="Remove neurons that never fire; the shape changes.")
@click.option(
    "--refit/--no-refit", default=True, help="Fit kept weights and a trained readout to the unpruned network."
)
@click.option(
    "--fine-tune-epochs",
    type=int,
    default=0,
    show_default=True,
    help="Epochs of distillation from the unpruned network into the kept weights.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random masks and of fine-tuning.")
@click.option("--sweep", is_flag=True, help="Measure criteria over densities instead: sweep.json and sweep.png.")
@click.option(
    "--criteria",
    default="activity,magnitude,sampled,random",
    show_default=True,
    help="For --sweep: which; lottery-ticket trains RUN four times for every point.",
)
@click.option(
    "--densities", default="0.5,0.2,0.1,0.05,0.02,0.01", show_default=True, help="For --sweep: shares to keep."
)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="For --sweep: how many seeds."
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="For --sweep: training samples to fit on, at most.",
)
@click.option(
    "--measure-on",
    type=click.Choice(["auto", "hold-out", "test"]),
    default="auto",
    show_default=True,
    help="For --sweep: auto is the hold-out where RUN has one. Choose nothing on test.",
)
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder to write [RUN-pruned, RUN-sweep].")
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@common_options
@click.pass_context
def command(
    context: click.Context,
    /,
    runs: tuple[Path, ...],
    out: Path | None,
    force: bool,
    as_json: bool,
    sweep: bool,
    criteria: str,
    densities: str,
    seeds: int,
    samples: int,
    measure_on: str,
    **options: Any,
) -> None:
    """Prune RUN to its Top-K-active weights and write a run folder again.

    Ranks by activation frequency x |w| x mean |input| while active, by magnitude, by chance, or by training again
    and again (lottery-ticket). The shape stays unless asked. Needs the data that RUN was trained on. With --sweep
    several runs, seeds of one setting, give one table.
    """
    require_torch("pruning")
    from ssd_edge.training import Run
    from ssd_edge_export.options import PruneOptions

    given = {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}
    check_mode(sweep, given)
    chosen = PruneOptions(**options)
    run = runs[0]
    if sweep:
        limits = {"most_samples": samples, "measure_on": measure_on}
        wanted = {"criteria": items(criteria, "criteria"), "densities": numbers(densities), **limits}
        draw_sweep(runs, out or run.with_name(f"{run.name}-sweep"), chosen, seeds, wanted, as_json)
        return
    if len(runs) > 1:
        raise OptionError(f"{len(runs)} runs given: prune takes one, and several only with --sweep")
    folder = out or run.with_name(f"{run.name}-pruned")
    check_folder(folder, run, force)
    trained = Run.load(run)
    pruned = with_progress(trained, chosen)
    report = {"run": str(folder), **pruned.provenance["prune"], "accuracy": accuracy(trained, pruned)}
    pruned.metrics = {**pruned.metrics, "prune": report}
    if folder.exists():
        shutil.rmtree(folder)
    pruned.save(folder)
    if as_json:
        emit_json(report)
    else:
        print_report(report)


def check_mode(sweep: bool, given: set[str]) -> None:
    """Refuse options that the other mode would ignore."""
    ignored = given & (NOT_IN_SWEEP if sweep else ONLY_IN_SWEEP)
    if ignored:
        names = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in ignored))
        raise OptionError(f"{names}: not with --sweep" if sweep else f"{names}: only with --sweep")


def with_progress(trained: Any, chosen: Any) -> Any:
    """``prune_run`` with a bar where it takes long."""
    from ssd_edge_export.passes import watched
    from ssd_edge_export.pruning.lottery import ROUNDS
    from ssd_edge_export.pruning.pruning import prune_run

    steps = chosen.fine_tune_epochs * trained.network.samples_seen
    name = "fine-tuning"
    if chosen.criterion == "lottery-ticket":
        steps, name = ROUNDS, "training tickets"
    if not steps:
        with passes("observing") as report, watched(report):
            return prune_run(trained, chosen)
    with progress(name, steps) as advance:
        return prune_run(trained, chosen, tick=advance)


def items(text: str, name: str) -> tuple[str, ...]:
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


def draw_sweep(
    runs: Sequence[Path], folder: Path, chosen: Any, seeds: int, wanted: dict[str, Any], as_json: bool
) -> None:
    """Measure, write ``sweep.json`` and ``sweep.png``, print the table."""
    from ssd_edge.training import Run
    from ssd_edge_export.pruning.sweep import sweep
    from ssd_edge_export.pruning.sweep_plot import plot_sweep

    trained = [Run.load(run) for run in runs]
    drawn = range(chosen.seed, chosen.seed + seeds)
    points = len(runs) * len(wanted["criteria"]) * len(wanted["densities"]) * seeds
    with progress("sweeping", points) as advance:
        document = sweep(trained, seeds=drawn, options=chosen, tick=advance, **wanted)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    plot_sweep(document, folder / "sweep.png")
    if as_json:
        emit_json(document)
    else:
        print_sweep(document)
        plain(f"wrote {folder / 'sweep.json'} and {folder / 'sweep.png'}")


def print_sweep(document: dict[str, Any]) -> None:
    """A row per criterion, a column per density."""
    from ssd_edge_export.pruning.sweep_plot import summary

    table = summary(document)
    densities = list(next(iter(table.values())))
    plain(
        f"accuracy on {document['samples']} {document['measured_on']} samples; unpruned {document['unpruned']:.4f}"
    )
    plain(f"{'weights kept (%)':<18}" + "".join(f"{100 * density:>9g}" for density in densities))
    for criterion, by_density in table.items():
        plain(f"{criterion:<18}" + "".join(f"{mean:>9.4f}" for mean, _ in by_density.values()))


def check_folder(folder: Path, run: Path, force: bool) -> None:
    """Refuse to write over the run itself, or over a folder unless ``force``."""
    if folder.resolve() == run.resolve():
        raise DataError(f"{folder}: is the run to prune; name another folder with -o")
    if folder.exists() and not force:
        raise DataError(f"{folder}: exists already; replace it with --force or name another with -o")
    if folder.exists() and not (folder / "config.toml").is_file():
        raise DataError(f"{folder}: is not a run folder, so it is not replaced")


def accuracy(before: Any, after: Any) -> dict[str, float]:
    """Test accuracy over all classes trained, of the run and of the pruned run."""
    from ssd_edge_export.passes import accuracy_on_test

    return {"before": accuracy_on_test(before), "after": accuracy_on_test(after)}


def print_report(report: dict[str, Any]) -> None:
    """One line per layer, the criterion and the accuracy."""
    reason = f" ({report['reason']})" if report["reason"] else ""
    plain(f"criterion {report['criterion']}{reason}")
    why = f" ({report['budget_reason']})" if report["budget_reason"] else ""
    plain(f"budget {report['budget']}{why}")
    for layer in report["layers"]:
        rows, width = layer["shape"]
        text = f"{layer['name']}: {layer['nonzeros']} of {rows} x {width} weights ({100 * layer['density']:.2f} %)"
        extra = [f"{layer[name]} {what}" for name, what in EXTRAS.items() if layer[name]]
        plain(", ".join([text, *extra]))
    if report["refit"]:
        plain("kept weights and readout fitted to the unpruned network's activations and logits")
    if report["fine_tune_epochs"]:
        plain(f"fine-tuned for {report['fine_tune_epochs']} epochs against the unpruned network")
    plain(f"test accuracy {report['accuracy']['before']:.4f} before, {report['accuracy']['after']:.4f} after")
    plain(f"wrote {report['run']}")


ONLY_IN_SWEEP = {"criteria", "densities", "seeds", "samples", "measure_on"}
NOT_IN_SWEEP = {"density", "criterion", "drop_inactive", "refit", "fine_tune_epochs", "force"}
EXTRAS = {"reserve": "neurons in reserve", "empty_rows": "empty rows", "dropped": "neurons dropped"}
