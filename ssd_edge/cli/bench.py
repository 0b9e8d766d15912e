"""``ssd-edge bench``: measure this device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import (
    FILE,
    NameList,
    allow_older_option,
    data_root_option,
    model_argument,
    scale_option,
    trusted_option,
)
from ssd_edge.cli.completion import offer_data
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, draw, emit_json, printable_in, say
from ssd_edge_bench.engines import ENGINES
from ssd_edge_bench.measurement.options import OPERATIONS, BenchOptions

if TYPE_CHECKING:
    from ssd_edge.on_device import Keys, Loading
    from ssd_edge_runtime.state import ModelState

DEFAULT = BenchOptions()
OF_OPERATIONS = f"Of {', '.join(OPERATIONS)}."
SHOW: dict[str, Any] = {"show_default": True}
EXAMPLE = """\b
Example:
  ssd-edge bench model.onnx --engines csr,onnxruntime-dense --batches 1,32
  ssd-edge bench model.onnx --json > today.json
  ssd-edge bench model.onnx --against yesterday.json --fail-if "predict b1 p50 > 1.10x"
  ssd-edge bench model.onnx --profile raspberry-pi-4 --profile raspberry-pi-5
"""


def complete_board(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Boards for the shell to offer."""
    from ssd_edge_bench.roofline.boards import board_names

    return [name for name in board_names() if name.startswith(incomplete)]


@click.command(cls=Command, headings={"--force": "Comparing"}, short_help="Measure this device.", epilog=EXAMPLE)
@model_argument
@click.option(
    "--engines", type=NameList(known=ENGINES), default=DEFAULT.engines, help=f"Of {', '.join(ENGINES)}.", **SHOW
)
@click.option(
    "--operations", type=NameList(known=OPERATIONS), default=DEFAULT.operations, help=OF_OPERATIONS, **SHOW
)
@click.option("--batches", type=NameList(int), default=DEFAULT.batches, help="Samples per call.", **SHOW)
@click.option("--threads", type=int, default=1, help="Threads, and cores to pin each process to.", **SHOW)
@click.option("--processes", type=int, default=5, help="Fresh processes per engine.", **SHOW)
@click.option("--seconds", type=float, default=0.3, help="Time per process, operation and batch.", **SHOW)
@click.option("--seed", type=int, default=0, help="Of the made-up inputs.", **SHOW)
@click.option(
    "--data",
    metavar="DATA",
    shell_complete=offer_data,
    help="Labelled data: real inputs, and accuracy in the report.",
)
@data_root_option
@scale_option
@click.option("--against", type=FILE, metavar="OTHER", help="A model, or an earlier --json, to compare with.")
@click.option(
    "--fail-if", multiple=True, metavar="RULE", help="Exit with status 1 where a RULE holds (see below)."
)
@click.option(
    "--profile",
    "profiles",
    multiple=True,
    metavar="BOARD",
    shell_complete=complete_board,
    help="Also estimate it on a BOARD; may be repeated.",
)
@click.option("--force", is_flag=True, help="Compare unlike machines all the same.")
@click.option("--report", type=FILE, help="Also write one self-contained HTML page.")
@trusted_option
@allow_older_option
@common_options
def command(
    model: Path,
    data: str | None,
    data_root: Path | None,
    scale_strict: bool,
    against: Path | None,
    fail_if: tuple[str, ...],
    profiles: tuple[str, ...],
    force: bool,
    report: Path | None,
    trusted: tuple[Path, ...],
    allow_older: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure MODEL on this machine: latency, throughput, memory, size, and how near the machine's bounds.

    Each engine runs in fresh processes of its own, pinned and warmed up; the intervals come from how these differ.

    A RULE is "[ENGINE] OPERATION [bN] p50|p90|p99 > 1.10x". It holds only where the whole 95 % interval of
    new / old lies above its limit, so that noise alone fails no build.

    A BOARD is raspberry-pi-zero-2w, raspberry-pi-4, raspberry-pi-5 or jetson-nano. Its times are estimates from
    published figures; how far the same method is off on this machine stands beside them.
    """
    from ssd_edge.on_device import Keys, Loading
    from ssd_edge.on_device.inputs import load_model
    from ssd_edge_bench.measurement.compare import Rule, check_alike, compare, judge, load_document
    from ssd_edge_bench.report.tables import print_document
    from ssd_edge_bench.roofline.boards import load_board
    from ssd_edge_bench.roofline.estimate import estimate
    from ssd_edge_runtime.errors import OptionError

    chosen = BenchOptions(**options)
    rules = [Rule.parse(text) for text in fail_if]
    boards = [load_board(name) for name in profiles]
    if boards and chosen.threads != 1:
        raise OptionError("--profile estimates one thread: leave --threads at 1")
    if scale_strict and data is None:
        raise OptionError("--scale-strict is about samples: it needs --data")
    if (rules or force) and against is None:
        raise OptionError(f"--{'fail-if' if rules else 'force'} needs --against")
    earlier = load_document(against) if against and against.suffix == ".json" else None
    keys = Keys(trusted=trusted, allow_older=allow_older)
    state = load_model(model, keys=keys).state if boards else None
    if state is not None:
        _check_signed(state, keys)
    document, other = _measure(
        model, None if earlier else against, chosen, data, data_root, Loading(scale_strict=scale_strict), keys
    )
    other = earlier or other
    if state is not None:
        measured, state = _measured_layers(document, state, chosen)
        document["estimates"] = [
            {**estimate(measured, state, board), "behind_encoder": measured is not document} for board in boards
        ]
    verdicts = []
    if other is not None:
        for difference in check_alike(document, other, force=force):
            say(f"warning: unlike machines: {difference}")
        document["comparison"] = {"against": str(against), "rows": compare(document, other)}
        verdicts = judge(rules, document, other)
        document["comparison"]["rules"] = [
            {"rule": v.rule.text, "ratio": v.ratio.value, "ratio_low": v.ratio.low, "broken": v.broken}
            for v in verdicts
        ]
    if report is not None:
        from ssd_edge_bench.report.page import write_page

        write_page(report, document)
        say(f"wrote {report}")
    if as_json:
        emit_json(document)
    else:
        shown = printable_in(document)
        draw(lambda console: print_document(shown, console))
    broken = [verdict for verdict in verdicts if verdict.broken]
    for verdict in broken:
        say(f"failed: {verdict.rule.text}: it is {verdict.ratio.value:.2f}x, at least {verdict.ratio.low:.2f}x")
    if broken:
        raise click.exceptions.Exit(1)


def _check_signed(state: ModelState, keys: Keys) -> None:
    from ssd_edge_runtime.errors import OptionError
    from ssd_edge_runtime.storage.signing import trusted_keys

    if state.encoder is not None and (keys.trusted or trusted_keys()):
        raise OptionError(
            "--profile measures the layers behind an encoder in a file of their own, which nobody has signed: "
            "leave out the trusted keys"
        )


def _measured_layers(
    document: dict[str, Any], state: ModelState, options: BenchOptions
) -> tuple[dict[str, Any], ModelState]:
    """What an estimate is made from: the document, or where there is an encoder, one of the layers behind it."""
    if state.encoder is None:
        return document, state
    from ssd_edge_bench.measurement import measure
    from ssd_edge_runtime.model_file import to_bytes
    from ssd_edge_runtime.storage.atomic import replace_atomically
    from ssd_edge_runtime.storage.folders import scratch

    say("note: the estimate is of the layers behind the encoder; what the encoder takes is known on a board alone")
    with scratch() as folder, bar("measuring its layers") as progress:
        path = folder / "layers.onnx"
        replace_atomically(path, to_bytes(state.head))
        return measure(path, options, progress=progress), state.head


def _measure(
    model: Path,
    other: Path | None,
    options: BenchOptions,
    data: str | None,
    data_root: Path | None,
    loading: Loading,
    keys: Keys,
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Measure one model or two side by side; with data, on its samples, and with its accuracy."""
    from ssd_edge.on_device import evaluate
    from ssd_edge.on_device.inputs import load_labelled, load_model
    from ssd_edge_bench.measurement import measure_side_by_side

    models = [model] if other is None else [model, other]
    samples, accuracies = None, []
    if data is not None:
        for path in models:
            edge = load_model(path, loading, keys)
            dataset = load_labelled(data, edge, split="test", root=data_root)
            samples = dataset.x.reshape(-1, *edge.state.input_shape)
            judged = evaluate(edge, dataset)
            accuracies.append({key: judged[key] for key in ("accuracy", "n", "per_class")})
    with bar("measuring") as progress:
        documents = measure_side_by_side(
            models,
            options,
            samples=samples,
            progress=progress,
            trusted=keys.trusted,
            allow_older=keys.allow_older,
            tell=say,
        )
    for document, accuracy in zip(documents, accuracies, strict=False):
        document["accuracy"] = accuracy
    return documents[0], documents[1] if other is not None else None
