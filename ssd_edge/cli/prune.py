"""``ssd-edge prune``: prune a run to its Top-K-active weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.storage.folders import replacing_folder

EXAMPLE = """\b
Example:
  ssd-edge prune runs/first --density 0.05 -o runs/first-5
  ssd-edge prune runs/first --density 0.02 --criterion magnitude --fine-tune-epochs 10 -o runs/first-2
"""
CRITERIA = ("auto", "activity", "magnitude", "sampled", "random", "lottery-ticket")
BUDGETS = ("auto", "row", "firing", "layer", "global")


@click.command(cls=Command, short_help="Prune a run to its Top-K-active weights.", epilog=EXAMPLE)
@click.argument("run", type=click.Path(path_type=Path))
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
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder to write [RUN-pruned].")
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@common_options
def command(run: Path, output: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Prune RUN to its Top-K-active weights and write a run folder again.

    Ranks by activation frequency x |w| x mean |input| while active, by magnitude, by chance, or by training again
    and again (lottery-ticket). The shape stays unless asked. Needs the data that RUN was trained on.
    """
    require_torch("pruning")
    from ssd_edge.training.run_folder import check_trained
    from ssd_edge_export import PruneOptions

    chosen = PruneOptions(**options)
    folder = output or run.with_name(f"{run.name}-pruned")
    check_folder(folder, run, force)
    check_trained(run)
    from ssd_edge.training import Run
    from ssd_edge_export import prune

    trained = Run.load(run)
    with bar("pruning") as progress:
        pruned = prune(trained, chosen, progress=progress)
    report = {"run": str(folder), **pruned.provenance["prune"], "accuracy": accuracy(trained, pruned)}
    pruned.metrics = {**pruned.metrics, "prune": report}
    with replacing_folder(folder) as fresh:
        pruned.save(fresh)
    if as_json:
        emit_json(report)
    else:
        print_report(report)


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


EXTRAS = {"reserve": "neurons in reserve", "empty_rows": "empty rows", "dropped": "neurons dropped"}
