"""One self-contained page about a model file: what it knows, which neurons serve which class, where bytes are."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ssd_edge_bench.report.charts import COLORS, Bar, bars, parts_of_a_whole, ranked
from ssd_edge_bench.report.markup import escape, figure, grid, section, shell, table
from ssd_edge_bench.report.units import share, size
from ssd_edge_runtime.arrays import Float64
from ssd_edge_runtime.state import Layer, ModelState
from ssd_edge_runtime.storage.atomic import write_text

WIDEST = 680
"""Columns of a heat map; more neurons than that are averaged."""
SCALE = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
"""Viridis: told apart by color-blind readers and in gray."""


def write_model_page(path: str | Path, document: dict[str, Any], state: ModelState, title: str) -> None:
    """Write the page of ``inspect --report``; ``document`` is what ``inspect --json`` prints.

    Raises OSError where it cannot be written.
    """
    write_text(path, model_page(document, state, title))


def model_page(document: dict[str, Any], state: ModelState, title: str) -> str:
    """The page as text."""
    sections = [_summary(document), section("Where the bytes are", _bytes(document))]
    if state.samples_seen and any(layer.activation_count.any() for layer in state.layers):
        sections += [section(f"Neurons of {layer.name}", _neurons(layer, state)) for layer in state.layers]
    else:
        sections.append("<p>No neuron has been counted yet: there are no activation frequencies to show.</p>")
    sections.append(section("Classes", _classes(document, state)))
    return shell(title, "".join(sections), f"ssd-edge inspect, digest {document['digest']}")


def frequencies(layer: Layer, class_samples: NDArray[np.int64]) -> Float64:
    """Share of each class's samples for which each neuron fired, (classes, n); 0 for classes without samples."""
    counted = np.maximum(class_samples, 1)[:, None]
    return np.minimum(layer.class_count / counted, 1.0)


def by_class_served(frequency: Float64) -> NDArray[np.intp]:
    """Neurons grouped by the class that each serves most, the most frequent first within a group."""
    return np.lexsort((-frequency.max(axis=0), frequency.argmax(axis=0), frequency.max(axis=0) == 0))


def heat_map(frequency: Float64, names: list[str]) -> str:
    """A row per class, a column per neuron; the color runs from 0 to the largest frequency."""
    columns = -(-frequency.shape[1] // WIDEST)
    padded = np.pad(frequency, ((0, 0), (0, -frequency.shape[1] % columns)), mode="edge")
    averaged = padded.reshape(len(names), -1, columns).mean(axis=2)
    top = float(averaged.max()) or 1.0
    row = 16 if len(names) <= 40 else 6
    left, width, bottom = 84, 680, row * len(names)
    drawn = f'<image href="{_png(averaged / top)}" x="{left}" y="0" width="{width}" height="{bottom}"'
    labels = [
        f'<text x="{left - 6}" y="{row * i + 12}" text-anchor="end" fill="currentColor">'
        f"{html.escape(_short(name))}</text>"
        for i, name in enumerate(names)
        if row == 16
    ]
    legend = (
        f'<image href="{_png(np.linspace(0, 1, 100)[None])}" x="{left}" y="{bottom + 26}" width="160" height="10"'
        ' preserveAspectRatio="none"/>'
        f'<text x="{left}" y="{bottom + 50}" fill="currentColor">0 %</text>'
        f'<text x="{left + 160}" y="{bottom + 50}" text-anchor="end" fill="currentColor">{share(top)}</text>'
        f'<text x="{left + 172}" y="{bottom + 36}" fill="currentColor">of the samples of a class</text>'
        f'<text x="{left + width}" y="{bottom + 16}" text-anchor="end" fill="currentColor">'
        f"{frequency.shape[1]:,} neurons, by the class that each serves most</text>"
    )
    shape = f'style="min-width:34rem" viewBox="0 0 {left + width + 8} {bottom + 56}" role="img"'
    pixels = 'preserveAspectRatio="none" style="image-rendering:pixelated"/>'
    return (
        f'<div class="wide"><svg xmlns="http://www.w3.org/2000/svg" {shape}>{drawn} {pixels}'
        f"{''.join(labels)}{legend}</svg></div>"
    )


def _png(values: Float64) -> str:
    """Values in [0, 1] as a picture in a data URL, a pixel each."""
    stops = np.linspace(0, 1, len(SCALE))
    channels = [np.interp(values, stops, [color[i] for color in SCALE]) for i in range(3)]
    buffer = io.BytesIO()
    Image.fromarray(np.stack(channels, axis=-1).round().astype(np.uint8)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _short(name: str) -> str:
    return name if len(name) <= 12 else f"{name[:11]}…"


def _summary(document: dict[str, Any]) -> str:
    shapes = ", ".join(
        f"{layer['shape'][1]} -> {layer['shape'][0]}, {layer['nonzeros']:,} weights ({share(layer['density'])}), "
        f"k {layer['k']}"
        for layer in document["layers"]
    )
    encoder = document["encoder"]
    front = f"encoder {encoder['name']}, which gives {encoder['width']} values; " if encoder is not None else ""
    return (
        f"<p>{escape(front + shapes)}; {len(document['classes'])} classes, {escape(document['readout'])} readout, "
        f"{escape(document['values'])}; generation {document['generation']}</p>"
    )


def _bytes(document: dict[str, Any]) -> str:
    known = [(layer["name"], layer["bytes"]) for layer in document["layers"]]
    known.append(("readout", document["readout_bytes"]))
    if document["encoder"] is not None:
        known.insert(0, ("encoder", document["encoder"]["bytes"]))
    rest = document["file_bytes"] - sum(count for _, count in known)
    known.append(("graph, and what learning goes on from", rest))
    rows = [Bar(name, count, size(count), COLORS[i % len(COLORS)]) for i, (name, count) in enumerate(known)]
    return grid([figure(f"{size(document['file_bytes'])} in all", bars(rows))])


def _neurons(layer: Layer, state: ModelState) -> str:
    samples = max(state.samples_seen, 1)
    overall = np.sort(np.minimum(layer.activation_count / samples, 1.0))[::-1]
    served = (layer.class_count > 0).sum(axis=0)
    free = int((layer.activation_count == 0).sum())
    reused = int((served >= 2).sum())
    once = len(overall) - free - reused
    kinds = [
        (f"reused by several classes: {reused:,}", reused, COLORS[0]),
        (f"of one class: {once:,}", once, COLORS[4]),
        (f"free: {free:,}", free, "#999"),
    ]
    frequency = frequencies(layer, state.class_samples)
    order = by_class_served(frequency)
    return figure(
        "How often each neuron is among the k most active, per class", heat_map(frequency[:, order], state.classes)
    ) + grid(
        [
            figure("Active, reused and free neurons", parts_of_a_whole(kinds)),
            figure("How often each neuron fires, over all samples", ranked(overall, layer.k / len(overall))),
        ]
    )


def _classes(document: dict[str, Any], state: ModelState) -> str:
    samples = document["class_samples"]
    last = state.layers[-1]
    rows = [
        (name, f"{samples.get(name, 0):,}", f"{int((last.class_count[i] > 0).sum()):,}")
        for i, name in enumerate(document["classes"])
    ]
    return table(("class", "samples", "neurons that fired for it"), rows)
