"""Whether a file could hold what is about to be learned: asked before anything is learned."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.container import MAX_FILE
from ssd_edge_runtime.model_file.strict_json import MAX_BYTES
from ssd_edge_runtime.names import check_name
from ssd_edge_runtime.options import MAX_COUNT
from ssd_edge_runtime.state import Layer, ModelState

DIGITS = len(str(MAX_COUNT)) + 1
"""Bytes of a count in the manifest, and what parts it from the next."""
RESERVE = MAX_BYTES * 3 // 8
"""Bytes of the manifest that class names never fill: what else stands there grows too, within bounds."""


class Room:
    """How much more a model may learn; the caller holds the lock of learning.

    What is left is counted down as it is taken, and found out anew only where that does not suffice.
    """

    def __init__(self, settled: Callable[[], ModelState]) -> None:
        """``settled`` gives the model with arrays that may be read."""
        self._settled = settled
        self._samples = self._manifest = self._file = 0

    def take(self, names: Sequence[str], samples: int) -> None:
        """Make room for ``samples`` of classes, new ones among them. Raises EdgeModelError where there is none."""
        state = self._settled()
        new = sorted(set(names).difference(state.classes))
        for name in new:
            check_name(name)
        written, stored = sum(map(_written, new)), len(new) * _class_bytes(state)
        if samples > self._samples:
            self._samples = samples_left(state)
        if new and (written > self._manifest or stored > self._file):
            self._manifest, self._file = manifest_left(state), MAX_FILE - _bytes(state)
        EdgeModelError.unless(samples <= self._samples, f"cannot learn: a count would pass {MAX_COUNT}")
        if new:
            self._check(new, written, stored)
        self._samples -= samples

    def _check(self, new: list[str], written: int, stored: int) -> None:
        refused = f"no room for class {new[0][:80]!r}"
        EdgeModelError.unless(
            written <= self._manifest, f"{refused}: the names of all classes would be too long for one file"
        )
        EdgeModelError.unless(stored <= self._file, f"{refused}: the file would be larger than {MAX_FILE} bytes")
        self._manifest -= written
        self._file -= stored


def samples_left(state: ModelState) -> int:
    """Samples that can be counted before any count is beyond what a file holds."""
    counts = [state.class_samples]
    for layer in state.layers:
        counts += [layer.activation_count, layer.task_count, layer.class_count]
    if state.statistics is not None:
        counts.append(state.statistics.class_counts)
    most = max(state.samples_seen, state.task_samples, *(int(each.max(initial=0)) for each in counts))
    return MAX_COUNT - most


def manifest_left(state: ModelState) -> int:
    """Bytes that the names of further classes may take in the manifest; below 0 where there are none."""
    from ssd_edge_runtime.model_file import manifest
    from ssd_edge_runtime.model_file.encode import structure_of
    from ssd_edge_runtime.model_file.learning_tensors import learning_shape

    structure = structure_of(state)
    shape = learning_shape(state, structure) if state.has_learning_state else None
    return MAX_BYTES - RESERVE - len(manifest.encode(state, structure, shape)) - DIGITS * len(state.classes)


def _written(name: str) -> int:
    """Bytes of a class in the manifest."""
    return len(json.dumps(name, ensure_ascii=False).encode()) + 1 + DIGITS


def _class_bytes(state: ModelState) -> int:
    """Bytes of a class in the file, at most: its row of the readout, of a teacher's, its sums, its counts."""
    return 16 * state.layers[-1].weights.shape[0] + 8 * sum(len(layer.activation_count) for layer in state.layers)


def _bytes(state: ModelState) -> int:
    """Bytes of the file, at most."""
    statistics = state.statistics.gram.nbytes if state.statistics is not None else 0
    encoder = state.encoder.nbytes if state.encoder is not None else 0
    classes = len(state.classes) * _class_bytes(state)
    return MAX_BYTES + encoder + statistics + classes + sum(map(_layer_bytes, state.layers))


def _layer_bytes(layer: Layer) -> int:
    """Weights, as many of a teacher's, and counts."""
    weights = layer.weights
    return 2 * weights.values.nbytes + weights.columns.nbytes + weights.indptr.nbytes + 24 * weights.shape[0]
