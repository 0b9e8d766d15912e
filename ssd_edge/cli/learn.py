"""``ssd-edge learn``: learn on the device, new classes included."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ssd_edge.cli.arguments import (
    data_root_option,
    loading_options,
    model_argument,
    reading_options,
    require_stdin,
    scale_option,
    split_option,
    stdin_format_option,
    threads_option,
    writing_options,
)
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_line, emit_saved, plain, say
from ssd_edge.cli.stopping import stoppable
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import Priors

if TYPE_CHECKING:
    from ssd_edge.data import Reading
    from ssd_edge.on_device.plan import LearnPlan
    from ssd_edge.on_device.stream_input import StreamFormat

EXAMPLE = """\b
Example:
  ssd-edge learn model.onnx new-classes.npz
  sensor | ssd-edge learn model.onnx - --checkpoint-every 100
  ssd-edge learn model.onnx photos/ --guard test.npz --max-drop 0.02 -o learned.onnx
"""
FIRST = (
    *("--epochs", "--split", "--guard", "--max-drop", "--checkpoint-every"),
    *("--resume", "--output", "--keep", "--trusted", "--json"),
)
"""Options to show before ``--help-all``."""


@click.command(cls=Command, first=FIRST, short_help="Learn on the device, new classes included.", epilog=EXAMPLE)
@model_argument
@click.argument("data", shell_complete=offer_data)
@click.option("--epochs", type=int, default=1, show_default=True, help="Passes over DATA (gradient readout only).")
@click.option("--lr", type=float, help="Step size of gradient learning [default: the model's].")
@click.option("--distill/--no-distill", default=None, help="Hold on to what is known [default: as trained].")
@click.option(
    "--priors",
    type=click.Choice(get_args(Priors)),
    help="Weigh classes alike, by their samples, or as the solver does; closed form, stays in MODEL.",
)
@click.option(
    "--min-samples",
    type=click.IntRange(min=1),
    help="Answer a class from so many samples on; closed form, stays in MODEL.",
)
@click.option("--shuffle/--no-shuffle", default=True, show_default=True, help="Learn in random order.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the order.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    metavar="SAMPLES",
    help="Put what was learned on storage after so many samples.",
)
@click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="The same after so much time.",
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint of learning that was cut off.")
@click.option("--discard", is_flag=True, help="Drop those checkpoints and start over.")
@click.option(
    "--guard",
    metavar="DATA",
    shell_complete=offer_data,
    help="Labelled data on which accuracy must hold, or nothing is saved.",
)
@click.option("--max-drop", type=click.FloatRange(0, 1), default=0.0, help="Accuracy on --guard that may be lost.")
@stdin_format_option
@split_option("train")
@data_root_option
@reading_options
@scale_option
@threads_option
@writing_options
@loading_options
@common_options
def command(
    model: Path,
    data: str,
    split: str,
    data_root: Path | None,
    reading: Reading,
    scale_strict: bool,
    output: Path | None,
    note: str,
    keep: int,
    lock_timeout: float,
    threads: int,
    sign_with: Path | None,
    verify: bool,
    trusted: tuple[Path, ...],
    allow_older: bool,
    checkpoint_every: int | None,
    checkpoint_seconds: float | None,
    resume: bool,
    discard: bool,
    guard: str | None,
    max_drop: float,
    stdin_format: StreamFormat,
    as_json: bool,
    **plan_options: Any,
) -> None:
    """Learn DATA (.npz, .csv, a folder of class folders, or a built-in name) and save MODEL as a new generation.

    Labels that MODEL does not know become new classes. When this command ends with status 0, what it reports is on
    storage. Where --guard does not hold, nothing is saved and the status is 1.

    Checkpoints go to a journal beside MODEL, and MODEL changes at the end. After a kill or a power cut, the same
    command with --resume goes on from the last one and ends where it would have ended.

    With - as DATA, samples are JSON lines on standard input: {"x": [...], "y": "label"} is learned, a line without
    y is predicted, and each is answered by a line at once. Or they are arrays as np.save writes them, samples and
    their labels in turn. MODEL is saved at the end; checkpoints come by themselves.

    Ctrl-C, SIGTERM and SIGHUP let the samples at hand be finished and what was learned be kept, with status 128
    and the signal's number; a second one ends at once, and --resume goes on.
    """
    from ssd_edge import on_device

    plan = on_device.LearnPlan(**plan_options)
    resuming = on_device.Resuming(resume, discard, checkpoint_every, checkpoint_seconds)
    writing: dict[str, Any] = {
        "resuming": resuming,
        "saving": on_device.Saving(output, keep, lock_timeout, note),
        "loading": on_device.Loading(threads=threads, verify=verify, scale_strict=scale_strict),
        "keys": on_device.Keys(sign_with, trusted, allow_older),
        "tell": say,
    }
    if data == "-":
        OptionError.unless(
            guard is None, "guard needs data that can be taken back: it cannot be used with standard input"
        )
        learn_stdin(model, plan, stdin_format, writing)
        return
    require_stdin(stdin_format)
    judge = None if guard is None else on_device.Guard(guard, max_drop)
    with stoppable() as stop, bar("learning") as progress:
        report = on_device.learn(
            model,
            data,
            plan,
            guard=judge,
            split=split,
            root=data_root,
            reading=reading,
            progress=progress,
            stop=stop,
            **writing,
        )
    if "stopped" in report:
        stop.exit()
    emit_saved(report, as_json, print_report)
    if not report["kept"]:
        raise click.exceptions.Exit(1)


def learn_stdin(model: Path, plan: LearnPlan, form: StreamFormat, writing: dict[str, Any]) -> None:
    """Learn what comes on standard input, until that ends, the answers find no reader, or a signal comes."""
    from ssd_edge.on_device import learn_stream

    with stoppable() as stop, stop.input(sys.stdin.buffer) as stream:
        answer = stop.answering(emit_line)
        report = learn_stream(model, stream, answer, plan, form=form, stop=stop, **writing)
        if stop():
            say(f"stopped: {report['samples']} samples learned, {report['stored']} on storage in {report['file']}")
        answer(report)
    stop.exit()


def print_report(report: dict[str, Any]) -> None:
    """What was learned and where it is, in a few words."""
    resumed = report["resumed"]
    rate = (report["samples"] * report["epochs"] - resumed) / max(report["seconds"], 1e-9)
    added = f"; new: {', '.join(report['classes_added'])}" if report["classes_added"] else ""
    plain(f"learned {report['samples']} samples in {report['seconds']:.2f} s ({rate:,.0f} a second){added}")
    if resumed:
        plain(f"of these, {resumed} had been learned before it was cut off")
    if "guard" in report:
        guard = report["guard"]
        plain(f"accuracy on the guard data: {guard['before']:.4f} before, {guard['after']:.4f} after")
    if report["kept"]:
        plain(f"{report['file']}: generation {report['generation']}, {len(report['classes'])} classes")
    else:
        plain(f"{report['file']}: not saved, because the guard data lost more than {report['guard']['max_drop']}")
