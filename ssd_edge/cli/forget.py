"""``ssd-edge forget``: remove a class, or unlearn samples."""

from __future__ import annotations

from pathlib import Path

import click

from ssd_edge.cli.arguments import data_root_option, model_argument, split_option, writing_options
from ssd_edge.cli.output import common_options, emit_json, plain

EXAMPLE = """\b
Example:
  ssd-edge forget model.onnx --class bag --purge
  ssd-edge forget model.onnx --data mislabeled.npz
"""


@click.command(short_help="Remove a class, or unlearn samples.", epilog=EXAMPLE)
@model_argument
@click.option("--class", "classes", metavar="NAME", multiple=True, help="A class to remove; may be repeated.")
@click.option("--data", metavar="DATA", help="Samples to unlearn (analytic readout); with --class, those of it.")
@click.option("--purge", is_flag=True, help="Also delete the earlier generations, which still know.")
@split_option("all")
@data_root_option
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
    as_json: bool,
) -> None:
    """Make MODEL forget: a class by name, or samples that it has learned, exactly as if it had not.

    Without --data the class is removed from the answers; with it, its samples leave the statistics too.
    """
    from ssd_edge.cli.changes import changing
    from ssd_edge.cli.models import load_labelled
    from ssd_edge_runtime import storage
    from ssd_edge_runtime.errors import OptionError

    if not classes and data is None:
        raise OptionError("nothing to forget: give --class NAME, --data DATA, or both")
    unlearned = 0
    with changing(model, output, keep, lock_timeout) as change:
        if data is not None:
            dataset = load_labelled(data, change.model, split=split, root=data_root)
            dataset = dataset.select(classes) if classes else dataset
            change.model.unlearn(dataset.x, dataset.names)
            unlearned = len(dataset)
        for name in classes:
            # A class of which every sample was unlearned has gone by itself.
            if data is None or name in change.model.classes_:
                change.model.forget(name)
        saved = change.save()
        if purge:
            storage.purge(change.target, lock_timeout=lock_timeout)
    if as_json:
        emit_json({**saved, "forgotten": list(classes), "unlearned": unlearned, "purged": purge})
        return
    what = [f"class {name}" for name in classes] + ([f"{unlearned} samples"] if data else [])
    plain(f"{saved['file']}: forgot {', '.join(what)}; knows {', '.join(saved['classes'])}")
    plain("no earlier generation is left" if purge else "earlier generations still know: --purge deletes them")
