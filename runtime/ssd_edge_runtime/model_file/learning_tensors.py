"""What learning goes on from, as initializers of ``training_info``, which inference runtimes ignore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.structure import LayerShape, Structure
from ssd_edge_runtime.onnx.tensors import TensorSpec
from ssd_edge_runtime.state import Layer, ModelState, Statistics, StoredTeacher

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TeacherShape:
    """Sizes of the teacher's arrays."""

    classes: int
    selected: tuple[int, ...]
    """Per layer, neurons distilled."""
    rows: tuple[int, ...]
    """Per layer, rows of W that have changed since."""
    entries: tuple[int, ...]
    """Per layer, entries in those rows."""
    columns: int
    """Columns of V that have changed since."""


@dataclass(frozen=True)
class LearningShape:
    """What the learning state holds, and in which types."""

    counts: str
    """Element type of all counts: the narrowest of uint16, uint32, int64 that holds them."""
    supports: tuple[bool, ...]
    """Per layer, whether a bitmap says which entries of a dense layer may learn."""
    statistics: bool
    teacher: TeacherShape | None
    inhibition: bool = False
    """Whether each layer carries the counts of the GABA switch."""
    code_bits: int | None = None
    """Of the exact codes that the statistics are of; None: they are of float32 codes."""


def count_type(state: ModelState) -> str:
    """The narrowest element type that holds every count."""
    arrays = [a for layer in state.layers for a in (layer.activation_count, layer.task_count, layer.class_count)]
    arrays += [layer.inhibition_count for layer in state.layers if layer.inhibition_count is not None]
    if state.statistics is not None:
        arrays.append(state.statistics.class_counts)
    largest = max(int(array.max(initial=0)) for array in arrays)
    return "uint16" if largest < 1 << 16 else "uint32" if largest < 1 << 32 else "int64"


def learning_shape(state: ModelState, structure: Structure) -> LearningShape:
    """What the learning state of ``state`` needs, its layers stored as ``structure`` says."""
    teacher = None
    if state.teacher is not None:
        t = state.teacher
        selected, rows = tuple(map(len, t.selected)), tuple(map(len, t.rows))
        teacher = TeacherShape(t.classes, selected, rows, tuple(map(len, t.values)), len(t.readout_columns))
    partial = [
        shape.storage == "dense" and layer.weights.nonzeros < shape.entries
        for layer, shape in zip(state.layers, structure.layers, strict=True)
    ]
    statistics, inhibition = state.statistics is not None, state.switch is not None
    code_bits = None if state.statistics is None else state.statistics.code_bits
    return LearningShape(count_type(state), tuple(partial), statistics, teacher, inhibition, code_bits)


def layer_specs(layer: LayerShape, shape: LearningShape, classes: int, at: int) -> list[TensorSpec]:
    """Initializers of one layer's learning state."""
    specs = [
        TensorSpec(f"{layer.name}.activation_count", shape.counts, (layer.rows,)),
        TensorSpec(f"{layer.name}.task_count", shape.counts, (layer.rows,)),
        TensorSpec(f"{layer.name}.class_count", shape.counts, (classes, layer.rows)),
    ]
    if shape.inhibition:
        specs.append(TensorSpec(f"{layer.name}.inhibition_count", shape.counts, (layer.rows,)))
    if shape.supports[at]:
        specs.append(TensorSpec(f"{layer.name}.support", "uint8", ((layer.entries + 7) // 8,)))
    teacher = shape.teacher
    if teacher is not None:
        specs += [
            TensorSpec(f"{layer.name}.teacher.selected", "int32", (teacher.selected[at],)),
            TensorSpec(f"{layer.name}.teacher.rows", "int32", (teacher.rows[at],)),
            TensorSpec(f"{layer.name}.teacher.values", "float32", (teacher.entries[at],)),
        ]
    return specs


def learning_specs(structure: Structure, shape: LearningShape) -> list[TensorSpec]:
    """Every initializer of the learning state, in file order."""
    classes, n = structure.classes, structure.code_width
    specs: list[TensorSpec] = []
    for at, layer in enumerate(structure.layers):
        specs += layer_specs(layer, shape, classes, at)
    if shape.teacher is not None:
        columns = shape.teacher.columns
        specs.append(TensorSpec("readout.teacher.columns", "int32", (columns,)))
        specs.append(TensorSpec("readout.teacher.values", "float32", (shape.teacher.classes, columns)))
    if shape.statistics:
        specs.append(TensorSpec("statistics.gram", "float64", (n * (n + 1) // 2,)))
        specs.append(TensorSpec("statistics.class_sums", "float64", (classes, n)))
        specs.append(TensorSpec("statistics.class_counts", shape.counts, (classes,)))
    return specs


def encode(state: ModelState, shape: LearningShape) -> Arrays:
    """The arrays of the learning state by initializer name."""
    arrays: Arrays = {}
    for at, layer in enumerate(state.layers):
        arrays[f"{layer.name}.activation_count"] = layer.activation_count
        arrays[f"{layer.name}.task_count"] = layer.task_count
        arrays[f"{layer.name}.class_count"] = layer.class_count
        if shape.inhibition and layer.inhibition_count is not None:
            arrays[f"{layer.name}.inhibition_count"] = layer.inhibition_count
        if shape.supports[at]:
            arrays[f"{layer.name}.support"] = encode_support(layer)
        if state.teacher is not None:
            arrays[f"{layer.name}.teacher.selected"] = state.teacher.selected[at]
            arrays[f"{layer.name}.teacher.rows"] = state.teacher.rows[at]
            arrays[f"{layer.name}.teacher.values"] = state.teacher.values[at]
    if state.teacher is not None:
        arrays["readout.teacher.columns"] = state.teacher.readout_columns
        arrays["readout.teacher.values"] = state.teacher.readout_values
    if state.statistics is not None:
        arrays["statistics.gram"] = state.statistics.gram
        arrays["statistics.class_sums"] = state.statistics.class_sums
        arrays["statistics.class_counts"] = state.statistics.class_counts
    return arrays


def encode_support(layer: Layer) -> NDArray[np.uint8]:
    """One bit per entry of the flattened matrix, the first in the highest bit of the first byte."""
    support = np.zeros(layer.weights.shape, np.bool_)
    support[layer.weights.row_of_entry(), layer.weights.columns] = True
    return np.packbits(support)


def decode_support(bits: NDArray[np.uint8], entries: int, name: str) -> NDArray[np.bool_]:
    """Inverse of :func:`encode_support`, flattened; bits past the end must be 0."""
    support = np.unpackbits(bits)
    if support[entries:].any():
        raise EdgeModelError(f"{name}.support has bits past its end")
    return support[:entries].astype(np.bool_)


def _counts(array: NDArray[Any]) -> Int64:
    return array.astype(np.int64)


def decode_counts(
    arrays: Arrays | None, layer: LayerShape, classes: int
) -> tuple[Int64, Int64, Int64, Int64 | None]:
    """Activation, task and class counts of a layer, and the switch's; zeros, and None, without learning state."""
    if arrays is None:
        return (
            np.zeros(layer.rows, np.int64),
            np.zeros(layer.rows, np.int64),
            np.zeros((classes, layer.rows), np.int64),
            None,
        )
    names = ("activation_count", "task_count", "class_count")
    activation, task, per_class = (_counts(arrays[f"{layer.name}.{name}"]) for name in names)
    inhibition = arrays.get(f"{layer.name}.inhibition_count")
    return activation, task, per_class, None if inhibition is None else _counts(inhibition)


def decode_statistics(arrays: Arrays, shape: LearningShape) -> Statistics:
    """The statistics of the analytic readout, copied out of the file."""
    return Statistics(
        arrays["statistics.gram"].astype(np.float64),
        arrays["statistics.class_sums"].astype(np.float64),
        _counts(arrays["statistics.class_counts"]),
        shape.code_bits,
    )


def decode_teacher(arrays: Arrays, layers: tuple[LayerShape, ...], shape: TeacherShape) -> StoredTeacher:
    """The teacher, copied out of the file."""
    return StoredTeacher(
        shape.classes,
        [arrays[f"{layer.name}.teacher.selected"].astype(np.int32) for layer in layers],
        [arrays[f"{layer.name}.teacher.rows"].astype(np.int32) for layer in layers],
        [arrays[f"{layer.name}.teacher.values"].astype(np.float32) for layer in layers],
        arrays["readout.teacher.columns"].astype(np.int32),
        arrays["readout.teacher.values"].astype(np.float32),
    )
