"""What a shell offers while a command line is typed; nothing heavy is imported for it."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from ssd_edge.cli.terminal import printable
from ssd_edge_runtime.errors import EdgeModelError

METHODS = (
    *("ssd", "sdmlp", "views", "finetune", "joint", "random", "flymodel", "lwf", "ewc", "si", "mas"),
    *("set", "rigl", "srigl", "g2gnet", "adagrad", "classp", "clnp"),
)
"""Names of ``ssd_edge.methods``, which needs torch."""
READOUTS = ("gradient", "analytic")
DATA_SETS = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar100", "tiny-imagenet")
"""Built-in names of ``ssd_edge.data``, which needs numpy."""


def offer_data(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Built-in data sets, and files."""
    names = [CompletionItem(name) for name in DATA_SETS if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


def offer_method(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Methods; after a ``+`` those that are not in the sum yet."""
    return _parts(incomplete, METHODS)


def offer_methods(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Methods in a list with commas, each with a readout if wanted."""
    before, comma, last = incomplete.rpartition(",")
    return _parts(last, (*METHODS, *READOUTS), before + comma)


def offer_classes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The classes of MODEL."""
    from ssd_edge_runtime.model_file import class_names

    # An option that still waits for its value keeps click from giving arguments their names.
    model = ctx.params.get("model") or next(iter(ctx.args), None)
    try:
        names = () if model is None else class_names(model)
    except (EdgeModelError, OSError):
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete) and printable(name) == name]


def _parts(text: str, names: tuple[str, ...], start: str = "") -> list[CompletionItem]:
    before, plus, last = text.rpartition("+")
    used = before.split("+")
    return [
        CompletionItem(f"{start}{before}{plus}{name}")
        for name in names
        if name.startswith(last) and name not in used
    ]
