"""Weights of a layer and of the readout, as the initializers that hold them, and back."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import codecs
from ssd_edge_runtime.model_file.codecs import StoredValues
from ssd_edge_runtime.model_file.learning_tensors import Arrays, decode_counts, decode_support
from ssd_edge_runtime.model_file.manifest import Manifest
from ssd_edge_runtime.model_file.structure import LayerShape, Structure
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Layer, ModelState, Readout


def encode_layer(layer: Layer, shape: LayerShape, state: ModelState) -> Arrays:
    """The initializers of one layer's weights."""
    matrix, name = layer.weights, shape.name
    rows = matrix.row_of_entry()
    stored = codecs.encode_values(matrix.values, rows, shape.rows, state.values_type, f"{name}.values")
    arrays: Arrays = {f"{name}.values": stored.values}
    if stored.scale is not None:
        arrays[f"{name}.scale"] = stored.scale
    if shape.storage == "dense":
        dense = np.zeros((shape.rows, shape.width), stored.values.dtype)
        dense[rows, matrix.columns] = stored.values
        arrays[f"{name}.values"] = dense
    elif shape.storage == "gaps":
        codes, entry_at = codecs.encode_gaps(codecs.flat_indices(matrix))
        spread = np.zeros(len(codes), stored.values.dtype)
        spread[entry_at] = stored.values
        arrays |= {f"{name}.columns": codes, f"{name}.values": spread}
    else:
        columns = matrix.columns.astype(codecs.column_type(shape.width))
        arrays |= {f"{name}.columns": columns, f"{name}.indptr": matrix.indptr}
    return arrays


def encode_input(state: ModelState, structure: Structure) -> Arrays:
    """The initializers of center and sketch, where there are any."""
    arrays: Arrays = {} if state.center is None else {"input.center": state.center}
    if state.sketch is not None:
        arrays["input.sketch.sums"] = state.sketch.sums.astype(structure.sums_type)
        arrays["input.sketch.signs"] = state.sketch.signs
    return arrays


def decode_sketch(arrays: Arrays, structure: Structure) -> Sketch | None:
    """The sketch, copied out of the file; its values are not yet checked."""
    if structure.sketch is None:
        return None
    sums, signs = arrays["input.sketch.sums"], arrays["input.sketch.signs"]
    return Sketch(sums.astype(np.int32), signs.reshape(-1).astype(np.int8), structure.sketch)


def encode_readout(state: ModelState) -> Arrays:
    """The initializers of V and b."""
    classes, n = state.readout.weights.shape
    rows = np.repeat(np.arange(classes), n)
    values = state.readout.weights.reshape(-1)
    stored = codecs.encode_values(values, rows, classes, state.values_type, "readout.values")
    arrays: Arrays = {"readout.values": stored.values}
    optional = {
        "readout.scale": stored.scale,
        "readout.bias": state.readout.bias,
    }
    return arrays | {name: array for name, array in optional.items() if array is not None}


def stored_values(arrays: Arrays, name: str) -> StoredValues:
    """Values and scales of a layer or of the readout, flat."""
    scale: Float32 | None = None
    if f"{name}.scale" in arrays:
        scale = arrays[f"{name}.scale"].astype(np.float32).reshape(-1)
        EdgeModelError.unless(
            bool(np.isfinite(scale).all() and (scale >= 0).all()), f"{name}.scale must be finite and >= 0"
        )
    return StoredValues(arrays[f"{name}.values"].reshape(-1), scale)


def decode_values(stored: StoredValues, rows: codecs.Rows, name: str) -> Float32:
    """float32 values, checked to be finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        values = codecs.decode_values(stored, rows)
    EdgeModelError.unless(bool(np.isfinite(values).all()), f"{name}.values holds NaN or infinity")
    return values


def decode_csr(arrays: Arrays, layer: LayerShape) -> CSRMatrix:
    """A layer stored with indptr; checked before rows are counted by it."""
    indptr = arrays[f"{layer.name}.indptr"].astype(np.int32)
    good = indptr[0] == 0 and indptr[-1] == layer.entries and bool(np.all(indptr[1:] >= indptr[:-1]))
    EdgeModelError.unless(good, f"{layer.name}.indptr must run from 0 to {layer.entries} and never descend")
    columns = arrays[f"{layer.name}.columns"].astype(np.int32)
    matrix = CSRMatrix(indptr, columns, np.zeros(0, np.float32), (layer.rows, layer.width))
    matrix.values = decode_values(stored_values(arrays, layer.name), matrix.row_of_entry(), layer.name)
    return matrix


def decode_gaps(arrays: Arrays, layer: LayerShape) -> CSRMatrix:
    """A layer stored as distances; fillers are dropped."""
    codes, shape = arrays[f"{layer.name}.columns"], (layer.rows, layer.width)
    flat = codecs.decode_gaps(codes, shape, layer.name)
    stored = stored_values(arrays, layer.name)
    entry = codes != codecs.FILLER
    EdgeModelError.unless(not stored.values[~entry].any(), f"{layer.name}.values is not zero at a filler")
    kept = StoredValues(stored.values[entry], stored.scale)
    matrix = codecs.matrix_from_flat(flat, np.zeros(0, np.float32), shape)
    matrix.values = decode_values(kept, matrix.row_of_entry(), layer.name)
    return matrix


def decode_dense(arrays: Arrays, layer: LayerShape, learning: Arrays | None, partial: bool) -> CSRMatrix:
    """A layer stored dense: all entries where it learns, else those that are not zero."""
    stored = stored_values(arrays, layer.name)
    if layer.activation == "cosine":
        support = np.ones(layer.entries, np.bool_)
    elif learning is None:
        support = stored.values != 0
    elif partial:
        support = decode_support(learning[f"{layer.name}.support"], layer.entries, layer.name)
        EdgeModelError.unless(
            not stored.values[~support].any(), f"{layer.name}.values is not zero outside its support"
        )
    else:
        support = np.ones(layer.entries, np.bool_)
    flat = np.flatnonzero(support).astype(np.int32)
    kept = StoredValues(stored.values[flat], stored.scale)
    matrix = codecs.matrix_from_flat(flat, np.zeros(0, np.float32), (layer.rows, layer.width))
    matrix.values = decode_values(kept, matrix.row_of_entry(), layer.name)
    return matrix


def decode_layer(layer: LayerShape, arrays: Arrays, learning: Arrays | None, manifest: Manifest) -> Layer:
    """Weights and counts of one hidden layer."""
    if layer.storage == "gaps":
        weights = decode_gaps(arrays, layer)
    elif layer.storage == "csr":
        weights = decode_csr(arrays, layer)
    else:
        shape = manifest.learning_shape
        partial = shape is not None and shape.supports[manifest.structure.layers.index(layer)]
        weights = decode_dense(arrays, layer, learning, partial)
    counts = decode_counts(learning, layer, manifest.structure.classes)
    return Layer(layer.name, weights, layer.k, *counts, activation=layer.activation)


def decode_readout(arrays: Arrays, manifest: Manifest) -> Readout:
    """V and b."""
    structure = manifest.structure
    rows = np.repeat(np.arange(structure.classes), structure.code_width)
    values = decode_values(stored_values(arrays, "readout"), rows, "readout")
    bias = arrays["readout.bias"].astype(np.float32) if structure.bias else None
    return Readout(structure.readout, values.reshape(structure.classes, structure.code_width), bias)
