"""``ssd-edge inspect``: layers, sizes, classes, neurons and provenance of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ssd_edge.cli.arguments import FILE, model_argument
from ssd_edge.cli.help import Command
from ssd_edge.cli.output import common_options, emit_json, plain, say

EXAMPLE = """\b
Example:
  ssd-edge inspect model.onnx
  ssd-edge inspect model.onnx --json
  ssd-edge inspect model.onnx --report model.html
"""


@click.command(cls=Command, short_help="Layers, sizes, classes, neurons and provenance of a file.", epilog=EXAMPLE)
@model_argument
@click.option(
    "--report", type=FILE, help="Also write one self-contained HTML page, with a picture of the neurons."
)
@common_options
def command(model: Path, report: Path | None, as_json: bool) -> None:
    """Show what MODEL holds and what it will take on a device."""
    from ssd_edge_bench.footprint import estimates
    from ssd_edge_runtime import model_file

    document = model_file.describe(model)
    document["estimates"] = estimates(document)
    if report is not None:
        from ssd_edge_bench.report.model_page import write_model_page

        write_model_page(report, document, model_file.load(model), model.name)
        say(f"wrote {report}")
    if as_json:
        emit_json(document)
    else:
        print_document(document)


def print_document(document: dict[str, Any]) -> None:
    """The same for a person."""
    shape = " x ".join(map(str, document["input_shape"]))
    plain(f"format {document['format']}, generation {document['generation']}, {size(document['file_bytes'])}")
    plain(f"digest {document['digest']}")
    for part in document["merged"]:
        plain(f"holds {part['name']} {part['digest'][:12]}, what it learned since {part['since'][:12]}")
    plain(f"input {shape}{', centered' if document['centered'] else ''}")
    if document["encoder"] is not None:
        print_encoder(document["encoder"])
    for layer in document["layers"]:
        print_layer(layer, document["values"])
    count = len(document["classes"])
    plain(f"{document['readout']} readout, {count} classes, {size(document['readout_bytes'])}")
    width = max(map(len, document["classes"]))
    for name in document["classes"]:
        plain(f"  {name:<{width}}  {document['class_samples'].get(name, 0):>8} samples")
    if not document["learning_state"]:
        plain("no learning state: this file answers but does not learn")
    print_estimates(document["estimates"])
    print_provenance(document["provenance"])


def print_encoder(encoder: dict[str, Any]) -> None:
    """The network in front of the layers."""
    plain(
        f"encoder  {encoder['name']}, gives {encoder['width']} values, {encoder['nodes']} operators, "
        f"{encoder['initializers']} arrays, {size(encoder['bytes'])}"
    )
    plain(f"  digest {encoder['digest']}")


def print_layer(layer: dict[str, Any], values: str) -> None:
    """Shape, weights and neurons of one layer."""
    rows, width = layer["shape"]
    plain(
        f"{layer['name']}  {width} -> {rows}, k {layer['k']}, {layer['nonzeros']} weights "
        f"({100 * layer['density']:.2f} %), {values}, {layer['storage']}, {size(layer['bytes'])}"
    )
    neurons = layer["neurons"]
    if neurons:
        plain(f"  neurons: {neurons['active']} active, {neurons['reused']} reused, {neurons['free']} free")
    if layer["inhibited"] is not None:
        plain(f"  GABA switch: closed for {layer['inhibited']} of {rows} neurons, which matters while learning")


def print_estimates(estimated: dict[str, Any]) -> None:
    """What the model takes on a device."""
    plain(f"in memory about {size(estimated['memory_bytes'])}, on storage up to {size(estimated['flash_bytes'])}")
    if estimated["solve_bytes"]:
        plain(
            f"a solve after learning takes about {size(estimated['solve_bytes'])} and "
            f"{estimated['solve_flops'] / 1e9:.2g} GFLOP, on this machine {estimated['solve_seconds']:.2g} s"
        )


def print_provenance(provenance: dict[str, Any]) -> None:
    """How the file came to be."""
    neurons = provenance.get("neurons")
    for name, tasks in neurons.items() if isinstance(neurons, dict) else ():
        for number, used in enumerate(tasks if isinstance(tasks, list) else (), 1):
            if isinstance(used, dict) and {"active", "reused", "free"} <= set(used):
                plain(
                    f"{name} in task {number}: {used['active']} neurons active, {used['reused']} of them reused, "
                    f"{used['free']} free after it"
                )
    for name, value in provenance.items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{key} {entry}" for key, entry in value.items() if not isinstance(entry, list | dict)
            )
        if value:
            plain(f"{name.replace('_', ' ')}: {value}")


def size(count: int) -> str:
    """``1234567`` as ``1.2 MB``."""
    if count < 1000:
        return f"{count} bytes"
    for unit in ("kB", "MB"):
        count_in_unit = count / (1e3 if unit == "kB" else 1e6)
        if count_in_unit < 1000:
            return f"{count_in_unit:.1f} {unit}"
    return f"{count / 1e9:.1f} GB"
