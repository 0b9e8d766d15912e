"""``ssd-edge export``: calibrate a run and write the ONNX file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssd_edge.cli.arguments import sign_with_option
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import bar, common_options, emit_json, plain, require_torch
from ssd_edge.cli.prune import BUDGETS, CRITERIA

if TYPE_CHECKING:
    from ssd_edge_runtime.state import ModelState

SMALL = 0.05
"""The density that the documentation's figures are about."""
EXAMPLE = """\b
Example:
  ssd-edge export runs/first --density 0.05 -o model.onnx
  ssd-edge export runs/first --values int8 --readout analytic --no-learning-state -o small.onnx
"""


@click.command(cls=Command, short_help="Calibrate a run and write the ONNX file.", epilog=EXAMPLE)
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--density", type=float, help="Prune to this share of the weights on the way [default: as RUN is].")
@click.option(
    "--criterion", type=click.Choice(CRITERIA), default="auto", show_default=True, help="For --density; see prune."
)
@click.option(
    "--budget", type=click.Choice(BUDGETS), default="auto", show_default=True, help="For --density; see prune."
)
@click.option(
    "--values",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float16",
    show_default=True,
    help="How weights are stored.",
)
@click.option(
    "--readout",
    type=click.Choice(["gradient", "analytic"]),
    help="analytic solves a closed-form readout for any run [default: as trained].",
)
@click.option(
    "--encoder",
    type=click.Path(path_type=Path),
    metavar="ONNX",
    help="Put this encoder in front of a RUN that was trained on its embeddings [default: the one RUN has].",
)
@click.option(
    "--learning-state/--no-learning-state", default=True, help="Keep, or leave out, what the device learns with."
)
@click.option(
    "--inhibition",
    type=click.Choice(["complete", "as-trained"]),
    default="complete",
    show_default=True,
    help="While the device learns by gradient: as-trained goes on from where RUN's GABA switch stands.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="For --density: of random masks.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="model.onnx", show_default=True, help="File."
)
@sign_with_option
@common_options
def command(
    run: Path,
    output: Path,
    density: float | None,
    criterion: Any,
    budget: Any,
    seed: int,
    encoder: Path | None,
    sign_with: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Count and gather over RUN's training data on exactly the weights that ship, and write one ONNX file.

    A model that is at the place already becomes an earlier generation of it: see ssd-edge history.
    """
    require_torch("exporting")
    from ssd_edge.training.run_folder import check_trained
    from ssd_edge_export.options import ExportOptions, PruneOptions
    from ssd_edge_export.place import check_place
    from ssd_edge_runtime.encoder import import_encoder
    from ssd_edge_runtime.storage.trust import Trust

    check_place(output)
    Trust.here().check_writer(sign_with)
    prune = None if density is None else PruneOptions(density, criterion, budget, seed=seed)
    chosen = ExportOptions(prune, **options)
    check_trained(run)
    front = None if encoder is None else import_encoder(encoder)
    from ssd_edge.training import Run
    from ssd_edge_export import export_model

    with bar("counting") as progress:
        path = export_model(Run.load(run), output, chosen, encoder=front, sign_with=sign_with, progress=progress)
    report = summary(path)
    if as_json:
        emit_json(report)
    else:
        print_report(report)


def summary(path: Path) -> dict[str, Any]:
    """What was written, and how it compares with a dense float32 file of the same function."""
    from ssd_edge_runtime import model_file

    described = model_file.describe(path)
    state = model_file.load(path)
    bare = len(model_file.to_bytes(state, learning_state=False))
    head = len(model_file.to_bytes(state.head, learning_state=False))
    dense = len(model_file.to_dense_onnx(state.head))
    names = (
        "classes",
        "encoder",
        "readout",
        "values",
        "layers",
        "file_bytes",
        "learning_state",
        "temperature",
        "digest",
    )
    pruned = described["provenance"].get("prune")
    small = None if pruned else len(model_file.to_bytes(thinned(state, SMALL), learning_state=False))
    return {
        "path": str(path),
        **{name: described[name] for name in names},
        "inference_bytes": bare,
        "head_bytes": head,
        "dense_bytes": dense,
        "inference_bytes_at_five_percent": small,
        "prune": pruned,
    }


def thinned(state: ModelState, density: float) -> ModelState:
    """The same with this share of each layer's weights, evenly drawn: as large as a pruned one, not as good."""
    import numpy as np

    from ssd_edge_runtime.sparse.csr import CSRMatrix

    layers = []
    for layer in state.layers:
        weights, kept = layer.weights, np.zeros(layer.weights.nonzeros, np.bool_)
        count = min(weights.nonzeros, round(density * weights.shape[0] * weights.shape[1]))
        kept[np.linspace(0, weights.nonzeros - 1, count).astype(np.intp)] = True
        indptr = np.r_[0, np.cumsum(kept)][weights.indptr].astype(np.int32)
        layers.append(
            replace(layer, weights=CSRMatrix(indptr, weights.columns[kept], weights.values[kept], weights.shape))
        )
    return replace(state, layers=layers)


def print_report(report: dict[str, Any]) -> None:
    """A few lines for a person."""
    pruned = report["prune"]
    if not pruned and any(layer["density"] > SMALL for layer in report["layers"]):
        share, small = f"{100 * SMALL:g} %", report["inference_bytes_at_five_percent"]
        plain(
            f"every weight of the run is kept: --density {SMALL:g} keeps the {share} that matter most, about "
            f"{small} bytes for inference; ssd-edge sweep RUN shows the accuracy at each density"
        )
    if pruned:
        reason = f" ({pruned['reason']})" if pruned.get("reason") else ""
        plain(
            f"pruned to {100 * pruned['density']:g} % by {pruned['criterion']}{reason}, budget {pruned['budget']}"
        )
    encoder = report["encoder"]
    if encoder:
        plain(f"encoder {encoder['name']}: gives {encoder['width']} values, {encoder['bytes']} bytes")
    for layer in report["layers"]:
        rows, width = layer["shape"]
        plain(
            f"{layer['name']}: {width} -> {rows}, k {layer['k']}, {layer['nonzeros']} weights "
            f"({100 * layer['density']:.2f} %) as {report['values']}, {layer['bytes']} bytes"
        )
    ratio = report["dense_bytes"] / report["head_bytes"]
    behind = f", {report['head_bytes']} of them behind the encoder," if encoder else ","
    plain(f"{report['readout']} readout over {len(report['classes'])} classes: {', '.join(report['classes'])}")
    state = report["file_bytes"] - report["inference_bytes"]
    plain(f"{report['inference_bytes']} bytes for inference{behind} {ratio:.1f} times smaller than dense float32")
    if report["learning_state"]:
        plain(f"{state} bytes of learning state")
    plain(f"wrote {report['path']} ({report['file_bytes']} bytes)")
