"""``ssd-edge train``: a sequence of tasks into a run folder."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import click

from ssd_edge.cli.arguments import raw_reading_options
from ssd_edge.cli.completion import offer_data, offer_method
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch, say
from ssd_edge.cli.terminal import INTERRUPTED
from ssd_edge.data.names import as_names, as_order
from ssd_edge_runtime.errors import OptionError


def whole_numbers(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """``"1000,500"`` as a tuple."""
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not whole numbers joined by commas") from None


def method_settings(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """``ssd.alpha=0.5`` as nested dictionaries; values are numbers, true, false or text."""
    settings: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        method, dot, option = name.partition(".")
        if not (equals and dot and method and option):
            raise click.BadParameter(f"{text!r} is not METHOD.OPTION=VALUE")
        settings.setdefault(method, {})[option.replace("-", "_")] = _scalar(value)
    return settings


def _scalar(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def class_order(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """``label``, a seed or names, as ``as_order`` reads them."""
    return None if text is None else as_order(text)


def class_names(context: click.Context, parameter: click.Parameter, text: str | None) -> Any:
    """``"a,b"`` as a tuple of names."""
    return None if text is None else as_names(text)


def training_options(function: Any) -> Any:
    """The options of a run, shared with ``compare``; those not given are None."""
    choice = click.Choice
    options = [
        click.option("--encoder", metavar="NAME|FILE",
                     help="Frozen encoder in front: a model of torchvision (resnet18), or an ONNX file."),
        click.option("--encoder-weights", type=click.Path(), metavar="FILE",
                     help="Its state dict, .pt or .safetensors [downloaded by torchvision]."),
        click.option("--encoder-size", type=int, metavar="PIXELS",
                     help="Resize images to this square for it [what its weights expect]."),
        click.option("--readout", type=choice(["gradient", "analytic"]), help="Default: the method's own."),
        click.option("--hidden", callback=whole_numbers, help="Neurons per hidden layer: 1000 or 1000,500."),
        click.option("--k", callback=whole_numbers, help="Active neurons [10; analytic: a tenth of hidden]."),
        click.option("--center", type=float, metavar="SHARE",
                     help="Subtract this share of the mean [0; analytic: 1; no SHARE: 1]."),
        click.option("--normalize", type=choice(["after", "both"]),
                     help="After that alone, or before it, too [both with 0 < SHARE < 1 or a sketch]."),
        click.option("--activation", type=choice(["plain", "cosine"]),
                     help="cosine: over the length of what a row sees, for what will be pruned [plain]."),
        click.option("--sketch", type=int, metavar="SUMS",
                     help="Hash the input to so many signed sums, which the first layer sees [none]."),
        click.option("--density", type=float,
                     help="Share of weights that are there, at random places, from the first step [1]."),
        click.option("--nonnegative/--signed", default=None, help="Default: nonnegative for gradient Top-K."),
        click.option("--base-tasks", type=int, help="Analytic: tasks W learns on before it is frozen."),
        click.option("--tasks", type=int, help="Tasks the classes are split into [5, or one per class]."),
        click.option("--until-task", type=int, help="Stop after this task."),
        click.option("--classes", callback=class_names, help="Only these classes, by name or index."),
        click.option("--class-order", callback=class_order, help="label, a seed, or all names in order [label]."),
        click.option("--hold-out", type=float, help="Share of the training part kept for choosing options [0]."),
        click.option("--epochs", type=int, help="Passes over each task [10]."),
        click.option("--batch-size", type=int, help="Samples per step [128]."),
        click.option("--lr", type=float, help="Step size of plain SGD [0.05; plain networks: 0.5]."),
        click.option("--clip-norm", type=float, help="Largest gradient norm [1]."),
        click.option("--readout-init", type=float, help="Bound of a new class's first weights [0.5]."),
        click.option("--switch", type=float, help="GABA switch s, as a share of the first task's samples [0.2]."),
        click.option("--protect", type=float, metavar="F0",
                     help="Rows of neurons as frequent as F0 in past tasks move half as far [0: none]."),
        click.option("--solver", type=choice(["lda", "ridge"]), help="Of the analytic readout [lda]."),
        click.option("--rho", type=float, help="Regularizer of the analytic readout [0.001]."),
        click.option("--set", "settings", multiple=True, callback=method_settings, metavar="METHOD.OPTION=VALUE",
                     help="An option of a method: ssd.temperature=1. See docs/reference/methods.md."),
        click.option("--device", type=choice(["auto", "cpu", "cuda"]), help="Where to train [auto]."),
        click.option("--data-root", type=click.Path(), help="Where local copies of data are looked for first."),
        raw_reading_options,
        click.option("--config", type=click.Path(path_type=Path), help="Options from a TOML file; the line wins."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


class TrainingCommand(Command):
    """A command of which ``--center`` without a share, and ``--no-center``, say all of the mean and none of it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Spell both with their share: the next word may be DATA."""
        spelled = [
            "--center=1" if word == "--center" and not is_number(following) else word
            for word, following in zip(args, [*args[1:], ""], strict=False)
        ]
        return super().parse_args(ctx, ["--center=0" if word == "--no-center" else word for word in spelled])


def is_number(word: str) -> bool:
    """Whether a word of the command line is one."""
    try:
        float(word)
    except ValueError:
        return False
    return True


EXAMPLE = """\b
Example:
  ssd-edge train fashion-mnist --method ssd --hidden 1000 --tasks 5 --epochs 10 -o runs/first
"""
FIRST = (
    *("--method", "--encoder", "--readout", "--hidden", "--k"),
    *("--tasks", "--until-task", "--epochs", "--output", "--resume"),
)
"""Options to show before ``--help-all``."""


@click.command(cls=TrainingCommand, epilog=EXAMPLE, first=FIRST)
@click.argument("data", required=False, shell_complete=offer_data)
@click.option(
    "--method",
    shell_complete=offer_method,
    help="How W is learned: ssd, sdmlp, random, ...; joined by + [ssd]. See docs/reference/methods.md.",
)
@training_options
@click.option("--seed", type=int, help="Seeds the first weights and the order of samples [0].")
@click.option("--resume", is_flag=True, help="Go on with the run in -o from its last checkpoint.")
@click.option("--force", is_flag=True, help="Replace an existing run folder.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder [runs/DATA-METHOD].")
@common_options
def command(
    data: str | None,
    resume: bool,
    force: bool,
    output: Path | None,
    as_json: bool,
    config: Path | None,
    **options: Any,
) -> None:
    """Train on a sequence of tasks and write a run folder.

    DATA is digits, mnist, fashion-mnist, cifar10, cifar100, tiny-imagenet, a folder of class folders of images,
    a .npz with x and y, or a .csv with a label column. Ctrl-C leaves a run that --resume goes on with.
    """
    require_torch("training")
    from ssd_edge.training.launch import launched_rank
    from ssd_edge.training.run_folder import check_new

    given = {name: value for name, value in options.items() if value is not None and value != {}}
    values: dict[str, Any] = {}
    if resume:
        check_resume(output, data, config, given)
        folder = cast(Path, output)
    else:
        values = merged(config, data, given)
        folder = output or default_folder(values)
        check_options(values)
        if launched_rank() == 0:  # which may have made the folder before another looks
            check_new(folder, force)
    from ssd_edge.training import Interrupted, train
    from ssd_edge.training import resume as resume_run
    from ssd_edge.training.advice import advice

    anew = partial(train, **values, output=folder, force=force)
    start = partial(resume_run, folder, **given) if resume else anew
    try:
        with bar("training, steps") as steps, bar("encoding, samples") as samples:
            run = start(progress=steps, encoding=samples) if launched_rank() == 0 else start()
    except Interrupted:
        say(f"stopped; the run is kept: go on with ssd-edge train --resume -o {folder}")
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        say("stopped before training began; embeddings made so far are kept: give the same command again")
        sys.exit(INTERRUPTED)
    if launched_rank():
        return
    if as_json:
        emit_json(run.metrics)
    else:
        print_run(run.metrics, folder)
    hint = advice(run.metrics)
    if hint is not None:
        say(f"note: {hint}")


def check_resume(output: Path | None, data: str | None, config: Path | None, given: dict[str, Any]) -> None:
    """A run goes on as it was begun: only where to, and on which device, may be said anew."""
    if output is None:
        raise OptionError("--resume needs the run folder: -o RUN")
    extra = sorted(given.keys() - {"until_task", "device"}) + ["DATA"] * bool(data) + ["config"] * bool(config)
    if extra:
        names = ", ".join(name.replace("_", "-") for name in extra)
        raise OptionError(f"--resume takes its options from {output}/config.toml; leave out {names}")
    from ssd_edge.training.run_folder import check_begun

    check_begun(output)


def check_options(values: dict[str, Any]) -> None:
    """What can be told of data and tasks at once: importing torch takes seconds, on some machines many."""
    from ssd_edge.data.loading import require_found
    from ssd_edge.training.task_options import check_tasks

    check_tasks(**{name: values[name] for name in ("tasks", "until_task") if isinstance(values.get(name), int)})
    require_found(values["data"])


def merged(config: Path | None, data: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Options of the TOML file, overridden by those on the command line."""
    from ssd_edge.training.toml import read_toml

    values = {} if config is None else read_toml(config)
    tables = {name: values.pop(name) for name in list(values) if isinstance(values[name], dict)}
    for method, options in given.pop("settings", {}).items():
        tables[method] = tables.get(method, {}) | options
    values |= given | tables | ({"data": data} if data else {})
    if "data" not in values:
        raise OptionError("DATA is missing: a data set's name, a file or a folder")
    return values


def default_folder(values: dict[str, Any]) -> Path:
    """``runs/DATA-METHOD``."""
    return Path("runs") / f"{Path(values['data']).stem}-{values.get('method', 'ssd')}"


def print_run(metrics: dict[str, Any], folder: Path) -> None:
    """The accuracy matrix and what it comes to, for a person."""
    columns = len(metrics["accuracy_matrix"][0])
    plain("accuracy (%)   " + "".join(f"task {j + 1:<4}" for j in range(columns)))
    for number, row in enumerate(metrics["accuracy_matrix"], 1):
        label = f"after task {number}" if len(metrics["accuracy_matrix"]) > 1 or columns == 1 else "after all"
        plain(f"{label:<15}" + "".join(f"{100 * value:<9.1f}" for value in row))
    for name in ("average_accuracy", "backward_transfer", "forgetting", "learning_accuracy"):
        if metrics[name] is not None:
            plain(f"{name.replace('_', ' '):<18}{metrics[name]:+.3f}".replace("+", " ", 1))
    rate = metrics["samples_per_second"]
    speed = f", {rate:,.0f} samples a second" if rate else ""
    plain(f"{metrics['seconds']:.1f} s on {metrics['device']}{speed}; written to {folder}")
