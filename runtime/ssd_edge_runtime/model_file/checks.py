"""Checks that a model's arrays fit each other: the last gate before writing a file or using one."""

from __future__ import annotations

from math import isfinite, prod
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.structure import MAX_ENTRIES, MAX_LAYERS
from ssd_edge_runtime.names import CONTROL, MAX_NAME, check_names
from ssd_edge_runtime.options import Activation
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Statistics, StoredTeacher

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import Encoder

MAX_DIMENSIONS = 8


def check_array(name: str, array: NDArray[Any], dtype: str, *shape: int) -> None:
    """Type, shape, finite floats, counts not negative."""
    EdgeModelError.unless(isinstance(array, np.ndarray), f"{name} must be an array, got {type(array).__name__}")
    EdgeModelError.unless(
        array.dtype == np.dtype(dtype) and array.shape == shape,
        f"{name} must be {dtype} {list(shape)}, got {array.dtype} {list(array.shape)}",
    )
    if array.dtype.kind == "f":
        EdgeModelError.unless(bool(np.isfinite(array).all()), f"{name} holds NaN or infinity")
    else:
        EdgeModelError.unless(array.size == 0 or int(array.min()) >= 0, f"{name} holds a negative number")


def check_ascending(name: str, array: NDArray[np.int32], limit: int) -> None:
    """int32 (m,), strictly ascending, in [0, limit)."""
    check_array(name, array, "int32", len(array))
    EdgeModelError.unless(bool(np.all(array[1:] > array[:-1])), f"{name} must be strictly ascending")
    EdgeModelError.unless(
        len(array) == 0 or int(array[-1]) < limit, f"{name} holds {array[-1:]}, not below {limit}"
    )


def check_matrix(name: str, matrix: CSRMatrix) -> None:
    """A CSR matrix that compiled code may walk: indptr monotone, columns in range and ascending."""
    rows, width = matrix.shape
    entries = matrix.nonzeros
    EdgeModelError.unless(rows >= 1 and width >= 1, f"{name} must have rows and columns, got {rows} x {width}")
    EdgeModelError.unless(rows * width <= MAX_ENTRIES, f"{name} is {rows} x {width}, beyond {MAX_ENTRIES} entries")
    check_array(f"{name}.indptr", matrix.indptr, "int32", rows + 1)
    check_array(f"{name}.columns", matrix.columns, "int32", entries)
    check_array(f"{name}.values", matrix.values, "float32", entries)
    indptr = matrix.indptr
    EdgeModelError.unless(bool(np.all(indptr[1:] >= indptr[:-1])), f"{name}.indptr must never descend")
    EdgeModelError.unless(
        int(indptr[0]) == 0 and int(indptr[-1]) == entries,
        f"{name}.indptr must run from 0 to {entries}, got {int(indptr[0])} to {int(indptr[-1])}",
    )
    if not entries:
        return
    columns = matrix.columns
    EdgeModelError.unless(
        int(columns.max()) < width, f"{name}.columns holds {int(columns.max())}, not below {width}"
    )
    ascending = np.empty(entries + 1, np.bool_)
    ascending[0] = ascending[-1] = True
    np.greater(columns[1:], columns[:-1], out=ascending[1:-1])
    ascending[indptr] = True
    EdgeModelError.unless(bool(ascending.all()), f"{name}.columns must ascend within each row")


def check_classes(classes: list[str]) -> None:
    """At least one class; names are unique, non-empty strings."""
    EdgeModelError.unless(isinstance(classes, list) and len(classes) >= 1, "a model needs at least one class")
    others = [name for name in classes if not isinstance(name, str)]
    EdgeModelError.unless(not others, f"class names are strings, got {repr(others[:1])[1:81]}")
    check_names(classes)
    EdgeModelError.unless(len(set(classes)) == len(classes), "class names must be unique")


def check_input(state: ModelState) -> None:
    """Input shape, center, epsilon, temperature."""
    shape = state.input_shape
    EdgeModelError.unless(
        1 <= len(shape) <= MAX_DIMENSIONS and all(type(n) is int and n >= 1 for n in shape),
        f"input_shape must be 1 to {MAX_DIMENSIONS} positive integers, got {shape}",
    )
    EdgeModelError.unless(prod(shape) <= MAX_ENTRIES, f"input_shape {shape} is beyond {MAX_ENTRIES} values")
    state.inputs.check(shape)
    if state.center is not None:
        check_array("center", state.center, "float32", state.input_width)
    if state.sketch is not None:
        check_sketch(state.sketch, state.input_width)
    for name, value in (("epsilon", state.epsilon), ("temperature", state.temperature)):
        EdgeModelError.unless(
            isfinite(value) and float(np.float32(value)) > 0.0, f"{name} must be positive and finite, got {value}"
        )


def check_sketch(sketch: Sketch, inputs: int) -> None:
    """Each of ``inputs`` values goes to one of the sums, with a sign."""
    width = sketch.width
    EdgeModelError.unless(1 <= width <= inputs, f"a sketch has 1 to {inputs} sums, got {width}")
    check_array("input.sketch.sums", sketch.sums, "int32", inputs)
    highest = int(sketch.sums.max())
    EdgeModelError.unless(highest < width, f"input.sketch.sums holds {highest}, not below {width}")
    signs = sketch.signs
    good = signs.dtype == np.int8 and signs.shape == (inputs,) and bool(np.all(np.abs(signs) == 1))
    EdgeModelError.unless(good, f"input.sketch.signs must be int8 [{inputs}], each 1 or -1")


def check_encoder(encoder: Encoder, input_shape: tuple[int, ...]) -> None:
    """That it is called something and takes what the model takes; its parts were checked when it was made."""
    good = 0 < len(encoder.name) <= MAX_NAME and CONTROL.search(encoder.name) is None
    EdgeModelError.unless(
        good, f"an encoder's name has 1 to {MAX_NAME} plain characters, got {encoder.name[:80]!r}"
    )
    EdgeModelError.unless(
        encoder.input_shape == input_shape, f"the encoder takes {encoder.input_shape}, the model {input_shape}"
    )


def check_layer(layer: Layer, name: str, width: int, classes: int) -> None:
    """One hidden layer on ``width`` inputs."""
    rows = layer.weights.shape[0]
    EdgeModelError.unless(layer.name == name, f"layer {name} is called {layer.name!r}")
    EdgeModelError.unless(
        layer.weights.shape[1] == width, f"{name} takes {layer.weights.shape[1]} inputs, gets {width}"
    )
    EdgeModelError.unless(1 <= layer.k < rows, f"{name}: k must be between 1 and {rows - 1}, got {layer.k}")
    EdgeModelError.unless(
        layer.activation in get_args(Activation),
        f"{name}: activation must be plain or cosine, got {layer.activation!r}",
    )
    check_matrix(name, layer.weights)
    check_array(f"{name}.activation_count", layer.activation_count, "int64", rows)
    check_array(f"{name}.task_count", layer.task_count, "int64", rows)
    check_array(f"{name}.class_count", layer.class_count, "int64", classes, rows)


def check_inhibition(layer: Layer, switch: float | None) -> None:
    """The counts of the GABA switch go with its s, and none is below zero."""
    counts = layer.inhibition_count
    EdgeModelError.unless(
        (counts is None) == (switch is None), f"{layer.name}.inhibition_count goes with the learning option switch"
    )
    if counts is not None:
        check_array(f"{layer.name}.inhibition_count", counts, "int64", layer.weights.shape[0])


def check_statistics(statistics: Statistics, classes: int, n: int) -> None:
    """Packed Gram, class sums and counts over n neurons."""
    check_array("statistics.gram", statistics.gram, "float64", n * (n + 1) // 2)
    check_array("statistics.class_sums", statistics.class_sums, "float64", classes, n)
    check_array("statistics.class_counts", statistics.class_counts, "int64", classes)


def check_teacher(teacher: StoredTeacher, state: ModelState) -> None:
    """The teacher's rows are rows of the model, with as many old values as those rows have entries."""
    EdgeModelError.unless(
        1 <= teacher.classes <= len(state.classes),
        f"the teacher knows {teacher.classes} classes, the model {len(state.classes)}",
    )
    for part in (teacher.selected, teacher.rows, teacher.values):
        EdgeModelError.unless(
            len(part) == len(state.layers), f"the teacher needs {len(state.layers)} layers, has {len(part)}"
        )
    for at, layer in enumerate(state.layers):
        rows = teacher.rows[at]
        check_ascending(f"{layer.name}.teacher.selected", teacher.selected[at], layer.weights.shape[0])
        check_ascending(f"{layer.name}.teacher.rows", rows, layer.weights.shape[0])
        indptr = layer.weights.indptr
        entries = int((indptr[rows + 1] - indptr[rows]).sum(dtype=np.int64))
        check_array(f"{layer.name}.teacher.values", teacher.values[at], "float32", entries)
    columns = teacher.readout_columns
    check_ascending("readout.teacher.columns", columns, state.layers[-1].weights.shape[0])
    check_array("readout.teacher.values", teacher.readout_values, "float32", teacher.classes, len(columns))


def check_readout(state: ModelState) -> None:
    """V and b, and that options and statistics belong to the kind of readout."""
    readout, classes, n = state.readout, len(state.classes), state.layers[-1].weights.shape[0]
    EdgeModelError.unless(
        readout.kind in ("gradient", "analytic"), f"readout must be gradient or analytic, got {readout.kind!r}"
    )
    plain = all(layer.activation == "plain" for layer in state.layers)
    EdgeModelError.unless(plain or readout.kind == "gradient", "cosine goes with the gradient readout")
    check_array("readout.weights", readout.weights, "float32", classes, n)
    EdgeModelError.unless(
        (readout.bias is None) == (readout.kind == "gradient"), "the analytic readout, and no other, has a bias"
    )
    if readout.bias is not None:
        check_array("readout.bias", readout.bias, "float32", classes)
    if state.statistics is not None:
        EdgeModelError.unless(readout.kind == "analytic", "statistics belong to the analytic readout")
        check_statistics(state.statistics, classes, n)
    EdgeModelError.unless(
        (state.analytic is not None) == (readout.kind == "analytic"),
        "options of the analytic solver belong to the analytic readout, which needs them",
    )
    if state.teacher is not None:
        EdgeModelError.unless(readout.kind == "gradient", "a teacher belongs to the gradient readout")
        check_teacher(state.teacher, state)


def check_state(state: ModelState) -> None:
    """Refuse a state whose parts do not fit each other.

    :raises EdgeModelError: naming the part.
    """
    check_classes(state.classes)
    check_input(state)
    EdgeModelError.unless(
        1 <= len(state.layers) <= MAX_LAYERS, f"a model has 1 to {MAX_LAYERS} layers, got {len(state.layers)}"
    )
    EdgeModelError.unless(
        state.values_type in ("float32", "float16", "int8"),
        f"values must be float32, float16 or int8, got {state.values_type!r}",
    )
    if state.encoder is not None:
        check_encoder(state.encoder, state.input_shape)
    width, classes = state.first_width, len(state.classes)
    for number, layer in enumerate(state.layers, 1):
        check_layer(layer, f"hidden{number}", width, classes)
        check_inhibition(layer, state.switch)
        width = layer.weights.shape[0]
    check_readout(state)
    check_array("class_samples", state.class_samples, "int64", classes)
    for name in ("samples_seen", "task_samples", "generation"):
        value = getattr(state, name)
        EdgeModelError.unless(type(value) is int and 0 <= value < 2**63, f"{name} must be a count, got {value!r}")
