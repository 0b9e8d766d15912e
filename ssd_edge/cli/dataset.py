"""``ssd-edge dataset``: device-ready arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssd_edge.cli.arguments import reading_options
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, say
from ssd_edge.data.names import as_names, as_order
from ssd_edge_runtime.errors import OptionError

if TYPE_CHECKING:
    from ssd_edge.data import Reading

EXAMPLE = """\b
Example:
  ssd-edge dataset fashion-mnist --task 3 --tasks 5 -o task3.npz
"""


@click.command(cls=Command, epilog=EXAMPLE)
@click.argument("data", shell_complete=offer_data)
@click.option(
    "--split",
    type=click.Choice(["train", "test", "all"]),
    default="train",
    show_default=True,
    help="Part of DATA, where it has parts.",
)
@click.option("--classes", default="", help="Only these, by name or index, joined by commas; in this order.")
@click.option("--task", type=click.IntRange(1), help="Only the classes of this task, from 1.")
@click.option("--tasks", type=click.IntRange(1), default=5, show_default=True, help="Tasks in all.")
@click.option("--class-order", default="label", show_default=True, help="label, a seed, or all names in order.")
@click.option("--data-root", type=click.Path(), help="Where local copies are looked for first.")
@reading_options
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The .npz to write.")
@common_options
def command(
    data: str,
    split: str,
    classes: str,
    task: int | None,
    tasks: int,
    class_order: str,
    data_root: str | None,
    reading: Reading,
    output: Path,
    as_json: bool,
) -> None:
    """Write samples as a device takes them: x float32, y indices, classes their names.

    DATA is digits, mnist, fashion-mnist, cifar10, cifar100, tiny-imagenet, a folder of class folders of images,
    a .npz with x and y, or a .csv with a label column.
    """
    from ssd_edge.data import load_data, save_npz

    part = load_data(data, split=split, root=data_root, split_files=True, reading=reading)  # type: ignore[arg-type]
    part = part.select(as_names(classes)) if classes else part
    if task is not None:
        if task > tasks:
            raise OptionError(f"task must be between 1 and tasks ({tasks}), got {task}")
        part = part.tasks(tasks, as_order(class_order))[task - 1]
    save_npz(output, part)
    if as_json:
        counts = dict(zip(part.classes, part.counts().tolist(), strict=True))
        shape = list(part.input_shape)
        emit_json({"file": str(output), "samples": len(part), "input_shape": shape, "classes": counts})
    else:
        say(f"{output}: {len(part)} samples of {', '.join(part.classes)}")
