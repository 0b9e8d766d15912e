"""What ``inspect`` tells about a file."""

from __future__ import annotations

from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import container
from ssd_edge_runtime.model_file.decode import decode, stored_sizes
from ssd_edge_runtime.model_file.header import digest_of, read_header
from ssd_edge_runtime.model_file.inputs import inputs_document
from ssd_edge_runtime.state import Layer, ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import Encoder


def neuron_counts(layers: list[Layer], class_samples: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, int]:
    """Active, reused and free neurons over all layers.

    A neuron is free if it was never in the Top-K, else active. It is reused if it was in the Top-K of at least two
    classes in more than k / n of their samples, which is what chance alone would give.
    """
    active = reused = free = 0
    for layer in layers:
        n = layer.weights.shape[0]
        served = (layer.class_count * n > layer.k * class_samples[:, None]).sum(axis=0)
        never = layer.activation_count == 0
        free += int(never.sum())
        active += int((~never).sum())
        reused += int((served >= 2).sum())
    return {"active": active, "reused": reused, "free": free}


def describe_layer(
    layer: Layer, storage: str, sizes: dict[str, int], counted: bool, state: ModelState
) -> dict[str, Any]:
    """One entry of ``layers``; ``bytes`` is what its weights take in the file.

    ``density`` of a layer behind a sketch is counted against the layer that sees all d values.
    """
    inputs = state.input_width if layer is state.layers[0] else layer.weights.shape[1]
    return {
        "name": layer.name,
        "shape": list(layer.weights.shape),
        "nonzeros": layer.weights.nonzeros,
        "density": layer.weights.nonzeros / (layer.weights.shape[0] * inputs),
        "bytes": sum(size for name, size in sizes.items() if weight_of(name, layer.name)),
        "k": layer.k,
        "activation": layer.activation,
        "storage": storage,
        "neurons": neuron_counts([layer], state.class_samples) if counted else None,
        "inhibited": inhibited(layer, state.switch),
    }


def inhibited(layer: Layer, switch: float | None) -> int | None:
    """For how many neurons the GABA switch has closed; None where there is none."""
    if switch is None or layer.inhibition_count is None:
        return None
    return int((layer.inhibition_count >= switch).sum())


def weight_of(name: str, layer: str) -> bool:
    """Whether an initializer holds weights of ``layer``, rather than a constant of the graph."""
    return name in {f"{layer}.{part}" for part in ("values", "columns", "indptr", "scale")}


def describe_encoder(encoder: Encoder | None) -> dict[str, Any] | None:
    """What stands in front of the layers."""
    return None if encoder is None else {**asdict(encoder.shape), "bytes": encoder.nbytes}


def describe(source: str | PathLike[str] | bytes, *, verify: bool = True) -> dict[str, Any]:
    """Everything about a file (path or bytes) that fits in JSON; ``neurons`` is None without learning state.

    :raises EdgeModelError: if it is not a sound file.
    """
    if not isinstance(source, bytes):
        data = container.read_file(source)
        try:
            return describe(data, verify=verify)
        except EdgeModelError as error:
            raise EdgeModelError(f"{source}: {error}") from None
    header = read_header(source, verify=verify)
    state, sizes = decode(header), stored_sizes(header)
    counted = header.manifest.learning_shape is not None
    layers = [
        describe_layer(layer, shape.storage, sizes, counted, state)
        for layer, shape in zip(state.layers, header.manifest.structure.layers, strict=True)
    ]
    return {
        "format": container.FORMAT,
        "classes": state.classes,
        "input_shape": list(state.input_shape),
        "inputs": inputs_document(state.inputs),
        "readout": state.readout.kind,
        "values": state.values_type,
        "file_bytes": len(source),
        "digest": digest_of(source),
        "parent": state.parent,
        "generation": state.generation,
        "merged": [
            {"name": part.name, "digest": part.digest, "since": part.since} for part in state.ledger.merged
        ],
        "encoder": describe_encoder(state.encoder),
        "layers": layers,
        "readout_bytes": sum(size for name, size in sizes.items() if weight_of(name, "readout")),
        "neurons": neuron_counts(state.layers, state.class_samples) if counted else None,
        "learning_state": counted,
        "samples_seen": state.samples_seen,
        "class_samples": dict(zip(state.classes, state.class_samples.tolist(), strict=True)),
        "centered": state.center is not None,
        "normalized_first": state.normalized_first,
        "sketch": state.sketch.width if state.sketch is not None else None,
        "temperature": state.temperature,
        "learning": asdict(state.learning) if state.learning is not None else None,
        "analytic": asdict(state.analytic) if state.analytic is not None else None,
        "provenance": state.provenance,
    }
