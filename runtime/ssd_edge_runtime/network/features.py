"""What makes codes of samples: two models whose features are the same can share what was learned."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.state import Layer, ModelState


def same_features(a: ModelState, b: ModelState) -> bool:
    """Whether both make the same codes of the same samples, behind whatever encoder."""
    return _plain(a) == _plain(b) and all(
        np.array_equal(one, other) for one, other in zip(_arrays(a), _arrays(b), strict=True)
    )


def features_digest(state: ModelState) -> str:
    """sha256 over what makes codes of samples, encoder and rounding included, 64 hexadecimal digits."""
    encoder = None if state.encoder is None else state.encoder.shape.digest
    bits = None if state.statistics is None else state.statistics.code_bits
    total = hashlib.sha256(json.dumps([*_plain(state), encoder, bits]).encode())
    for array in _arrays(state):
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def _plain(state: ModelState) -> list[Any]:
    """Numbers and flags, the shapes of the arrays among them."""
    layers = [
        [layer.k, *layer.weights.shape, layer.weights.nonzeros, *_activation(layer)] for layer in state.layers
    ]
    sketch = None if state.sketch is None else state.sketch.width
    centered = state.center is not None
    return [list(state.input_shape), float(state.epsilon), centered, state.normalized_first, sketch, layers]


def _activation(layer: Layer) -> list[str]:
    """Its name; digests of earlier versions knew none but the plain one."""
    return [] if layer.activation == "plain" else [layer.activation]


def _arrays(state: ModelState) -> Iterator[NDArray[Any]]:
    if state.center is not None:
        yield state.center
    if state.sketch is not None:
        yield from (state.sketch.sums, state.sketch.signs)
    for layer in state.layers:
        yield from (layer.weights.indptr, layer.weights.columns, layer.weights.values)
