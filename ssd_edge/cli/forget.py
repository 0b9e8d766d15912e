"""``ssd-edge forget``: remove a class, or unlearn samples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from ssd_edge.cli.arguments import (
    data_root_option,
    model_argument,
    split_option,
    threads_option,
    writing_options,
)
from ssd_edge.cli.output import common_options, emit_json, plain
from ssd_edge_runtime.errors import DataError, OptionError

if TYPE_CHECKING:
    from ssd_edge.data import Dataset
    from ssd_edge_runtime import EdgeModel

EXAMPLE = """\b
Example:
  ssd-edge forget model.onnx --class bag --purge
  ssd-edge forget model.onnx --data mislabeled.npz
"""


@click.command(short_help="Remove a class, or unlearn samples.", epilog=EXAMPLE)
@model_argument
@click.option("--class", "classes", metavar="NAME", multiple=True, help="A class to remove; may be repeated.")
@click.option("--data", metavar="DATA", help="Samples to unlearn; gradient readout: samples of all classes.")
@click.option("--purge", is_flag=True, help="Also delete the earlier generations, which still know.")
@split_option("all")
@data_root_option
@threads_option
@writing_options
@common_options
def command(
    model: Path,
    classes: tuple[str, ...],
    data: str | None,
    purge: bool,
    split: str,
    data_root: Path | None,
    output: Path | None,
    keep: int,
    lock_timeout: float,
    threads: int,
    as_json: bool,
) -> None:
    """Make MODEL forget: a class by name, or samples that it has learned, exactly as if it had not.

    Without --data the class is removed from the answers. With it, a closed-form readout loses the samples of the
    class exactly; in a gradient readout the weights that served it are dampened (Selective Synaptic Dampening),
    judged by the samples of the other classes in DATA, and what that cost these is reported.
    """
    from ssd_edge.on_device.inputs import load_labelled
    from ssd_edge.on_device.transaction import changing
    from ssd_edge_runtime import storage

    if not classes and data is None:
        raise OptionError("nothing to forget: give --class NAME, --data DATA, or both")
    unlearned = 0
    dampened: list[dict[str, Any]] = []
    with changing(model, output, keep, lock_timeout, threads=threads) as change:
        if data is not None:
            dataset = load_labelled(data, change.model, split=split, root=data_root)
            if classes and change.model.learning is not None:
                dampened = [dampen(change.model, dataset, name) for name in classes]
            else:
                dataset = dataset.select(classes) if classes else dataset
                change.model.unlearn(dataset.x, dataset.names)
                unlearned = len(dataset)
        for name in classes:
            # A class that was dampened, or of which every sample was unlearned, has gone already.
            if data is None or name in change.model.classes_:
                change.model.forget(name)
        saved = change.save()
        if purge:
            storage.purge(change.target, lock_timeout=lock_timeout)
    if as_json:
        what_changed = {"forgotten": list(classes), "unlearned": unlearned, "dampened": dampened, "purged": purge}
        emit_json(saved | what_changed)
        return
    for row in dampened:
        cost = f"{row['accuracy_before']:.4f} before, {row['accuracy_after']:.4f} after"
        plain(f"{row['class']}: {row['dampened']} of {row['weights']} weights dampened; the other classes: {cost}")
    what = [f"class {name}" for name in classes] + ([f"{unlearned} samples"] if unlearned else [])
    plain(f"{saved['file']}: forgot {', '.join(what)}; knows {', '.join(saved['classes'])}")
    plain("no earlier generation is left" if purge else "earlier generations still know: --purge deletes them")


def dampen(model: EdgeModel, dataset: Dataset, name: str) -> dict[str, Any]:
    """Forget one class of a gradient readout; the other samples of classes that the model knows judge the cost."""
    forgotten = dataset.names == name
    retained = np.isin(dataset.names, [known for known in model.classes_ if known != name])
    for chosen, what in ((forgotten, f"samples of {name!r}"), (retained, "samples of the classes that stay")):
        if not chosen.any():
            raise DataError(f"data holds no {what}: a gradient readout forgets by comparing the two")
    report = model.dampen(name, dataset.x[forgotten], (dataset.x[retained], dataset.names[retained]))
    return {"class": name, **dataclasses.asdict(report)}
