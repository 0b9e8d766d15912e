"""Write the reference pages that follow from the code: ``python docs/reference/generate.py``."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ssd_edge.cli import COMMANDS

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/reference/generate.py from the code; change that. -->"
FACES = {
    "ssd_edge_runtime": "A model on a device. Needs no torch.",
    "ssd_edge_runtime.encoder": "Frozen networks in front of a model.",
    "ssd_edge.on_device": "What the device commands do, as functions. Needs no torch.",
    "ssd_edge.data": "Data sets. Built-in names need the extra `[train]`.",
    "ssd_edge": "Training and comparing. Needs the extra `[train]`.",
    "ssd_edge_export": "From a run to a file. Needs the extra `[train]`, `verify` excepted.",
}
OPTIONS = {
    "Training": ("ssd_edge.training.config", "TrainConfig"),
    "Training an encoder": ("ssd_edge.training.encoder", "EncoderConfig"),
    "Pruning": ("ssd_edge_export.options", "PruneOptions"),
    "Sweeping": ("ssd_edge_export.options", "SweepOptions"),
    "Exporting": ("ssd_edge_export.options", "ExportOptions"),
    "Gradient readout": ("ssd_edge_runtime.options", "LearningOptions"),
    "Distillation": ("ssd_edge_runtime.options", "DistillOptions"),
    "Closed-form readout": ("ssd_edge_runtime.options", "AnalyticOptions"),
    "Dampening": ("ssd_edge_runtime.gradient.dampening", "DampeningOptions"),
    "Measuring": ("ssd_edge_bench.measurement.options", "BenchOptions"),
}


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def markdown(docstring: str) -> str:
    """A docstring as Markdown: code in single backquotes, examples in blocks."""
    text = re.sub(r":(?:class|meth|attr|func|data):`~?([^`]+)`", r"`\1`", inspect.cleandoc(docstring))
    text = text.replace("``", "`")
    paragraphs = []
    for paragraph in text.split("\n\n"):
        is_example = paragraph.lstrip().startswith(">>>")
        bare = re.sub(r"\s+# doctest:.*", "", paragraph)
        paragraphs.append(f"```pycon\n{bare}\n```" if is_example else paragraph)
    return "\n\n".join(paragraphs)


# The command line


def command_line() -> str:
    """``command-line.md``."""
    lines = [
        "# Command line",
        NOTE,
        "Every command has `--help` with an example, and `--json` for scripts: one document on standard output, "
        "messages on standard error ([keys](files.md#json)). It ends with status 0, or 2 after one line that says "
        "what was wrong ([all statuses](files.md#exit-statuses)); `--debug` shows the traceback.",
    ]
    for name in COMMANDS:
        lines += command_section(name)
    return "\n\n".join(lines) + "\n"


def command_section(name: str) -> Iterator[str]:
    """Help, options and examples of one command."""
    command = importlib.import_module(f"ssd_edge.cli.{name}").command
    context = click.Context(command, info_name=f"ssd-edge {name}")
    yield f"## {name}"
    yield f"```console\n$ ssd-edge {name} {' '.join(command.collect_usage_pieces(context))}\n```"
    yield from help_paragraphs(command.help or "")
    rows = [record for param in command.params if (record := help_record(param, context))]
    yield "\n".join(
        ["| option | |", "|---|---|", *(f"| `{cell(names)}` | {cell(told)} |" for names, told in rows)]
    )
    yield from help_paragraphs(command.epilog or "")


def help_record(param: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    """Names and help of an option, shown in short help or not; None for an argument."""
    if not isinstance(param, click.Option):
        return None
    shown = copy.copy(param)
    shown.hidden = False
    return shown.get_help_record(context)


def help_paragraphs(text: str) -> Iterator[str]:
    """Paragraphs of a help text; those that click leaves as they are become examples."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        verbatim = paragraph.startswith("\b")
        body = paragraph.removeprefix("\b").strip("\n")
        if verbatim:
            examples = textwrap.dedent(body.partition("\n")[2])
            yield "```console\n" + "\n".join(f"$ {line}" for line in examples.splitlines()) + "\n```"
        elif body:
            yield body.replace("*", "\\*")


# Python


def python() -> str:
    """``python.md``."""
    lines = ["# Python", NOTE, "What each package shows. Options that are dataclasses: [options.md](options.md)."]
    for face, told in FACES.items():
        module = importlib.import_module(face)
        lines += [f"## {face}", told]
        for name in sorted(module.__all__, key=str.lower):
            if not name.startswith("_"):
                lines += described(module, name)
    return "\n\n".join(lines) + "\n"


def described(module: ModuleType, name: str) -> Iterator[str]:
    """One public name."""
    thing = getattr(module, name)
    if not callable(thing):
        yield f"### {name}"
        yield f"`{module.__name__}.{name}`"
        return
    listed = any(name == option for _, option in OPTIONS.values())
    yield f"### {name}"
    if listed:
        yield f"{markdown(thing.__doc__ or '')} Its fields: [options.md](options.md)."
        return
    yield signature_block(name, thing)
    yield markdown(inspect.getdoc(thing) or "")
    if inspect.isclass(thing):
        members = [line for member, value in vars(thing).items() for line in member_lines(member, value, thing)]
        if members:
            yield "\n".join(members)


def signature_block(name: str, thing: Any) -> str:
    """``name(arguments) -> result`` in a block, an argument a line where it is long."""
    try:
        line = f"{name}{written(inspect.signature(thing))}"
    except ValueError:  # an error: it takes what its base takes
        line = name
    if len(line) > 100:
        inner, _, result = line.removeprefix(f"{name}(").rpartition(")")
        line = f"{name}(\n" + "".join(f"    {part},\n" for part in split_arguments(inner)) + f"){result}"
    return f"```python\n{line}\n```"


def written(signature: inspect.Signature) -> str:
    """A signature as one writes it: annotations without quotes, functions as defaults shown as dots."""
    parameters = [
        parameter.replace(default=brief(parameter.default)) for parameter in signature.parameters.values()
    ]
    signature = signature.replace(parameters=parameters)
    text = re.sub(r"<function .*? at 0x[0-9a-f]+>", "...", str(signature))
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text).replace(" -> None", "")


def brief(default: Any) -> Any:
    """Options as a default by their name alone: ``PruneOptions()``."""
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        return default
    return type("Brief", (), {"__repr__": lambda _: f"{type(default).__name__}()"})()


def split_arguments(text: str) -> Iterator[str]:
    """``a: int, b: dict[str, int]`` at its outer commas."""
    depth, begun = 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            yield text[begun:place].strip()
            begun = place + 1
    yield text[begun:].strip()


def member_lines(name: str, value: Any, owner: type) -> Iterator[str]:
    """A public method or property, in one line each and its first sentence."""
    if name.startswith("_"):
        return
    function = value.__func__ if isinstance(value, classmethod | staticmethod) else value
    if isinstance(value, property):
        yield f"- **`{name}`**: {cell(markdown(value.__doc__ or ''))}"
    elif inspect.isfunction(function):
        arguments = re.sub(r"^\((?:self|cls)(?:, )?", "(", written(inspect.signature(function)))
        yield f"- **`{name}{arguments}`**: {cell(markdown(function.__doc__ or ''))}"


# Options


def options() -> str:
    """``options.md``."""
    lines = [
        "# Options",
        NOTE,
        "Frozen dataclasses. On the command line `readout_init` is `--readout-init`. Values are checked when the "
        "object is made; what breaks a rule raises `OptionError`, which names option, rule and value. The options "
        "of the methods stand in [methods.md](methods.md#options).",
    ]
    for title, (module, name) in OPTIONS.items():
        kind = getattr(importlib.import_module(module), name)
        lines += [f"## {title}", f"`{name}`. {markdown(kind.__doc__)}", fields_table(kind)]
    return "\n\n".join(lines) + "\n"


def fields_table(kind: type) -> str:
    """Name, default and meaning of every field."""
    told = field_docs(kind)
    rows = [
        f"| `{item.name}` | {default_of(item)} | {cell(markdown(told.get(item.name, '')))} |"
        for item in dataclasses.fields(kind)
    ]
    return "\n".join(["| field | default | meaning |", "|---|---|---|", *rows])


def default_of(item: dataclasses.Field[Any]) -> str:
    """A field's default, as code."""
    value = item.default
    if value is dataclasses.MISSING:
        if item.default_factory is dataclasses.MISSING:
            return "required"
        value = item.default_factory()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return f"`{type(value).__name__}()`"
    return f"`{cell(repr(value))}`"


def field_docs(kind: type) -> dict[str, str]:
    """The text under each field of a class, those of the classes it extends included."""
    told: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            told |= own_field_docs(base)
    return told


def own_field_docs(kind: type) -> dict[str, str]:
    """The text under each field that a class itself defines."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in zip(tree.body, tree.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
            found[field.target.id] = str(ast.literal_eval(after.value))
    return found


PAGES = {"command-line.md": command_line, "python.md": python, "options.md": options}

if __name__ == "__main__":
    for page, render in PAGES.items():
        (HERE / page).write_text(render())
