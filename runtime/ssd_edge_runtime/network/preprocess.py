"""What stands before the first layer: normalization, a share of the mean taken off, a sketch, normalization."""

from __future__ import annotations

import math

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.sparse.workspace import workspace
from ssd_edge_runtime.state import ModelState


def preprocess(x: Float32, state: ModelState) -> Float32:
    """``u = v / max(||v||, epsilon)``, ``v = x - center``, per sample: float32 (N, d) -> contiguous (width, N).

    With ``normalized_first`` x is divided by its own length first, and with a sketch v is ``P (x - center)``.
    The result is a work array, good until this thread's next call.
    """
    if state.normalized_first:
        x = _unit_rows(x, state.epsilon)
    if state.sketch is None:
        return _centered_unit_columns(x, state.center, state.epsilon)
    if state.center is not None:
        x = np.subtract(x, state.center, out=workspace.array("centered", x.shape))
    matrix = state.sketch.matrix
    if len(x) == 1:
        return _unit(matrix.matvec(x[0]), state.epsilon)
    columns = workspace.array("columns", x.shape[::-1])
    np.copyto(columns, x.T)
    sums = matrix.matmat(columns, workspace.array("u", (matrix.shape[0], len(x))))
    sums *= _scales(np.einsum("dn,dn->n", sums, sums, dtype=np.float32), sums.T, state.epsilon)
    return sums


def _centered_unit_columns(x: Float32, center: Float32 | None, epsilon: float) -> Float32:
    samples, width = x.shape
    if samples == 1:
        return _unit(x[0] if center is None else x[0] - center, epsilon)
    if center is not None:
        x = np.subtract(x, center, out=workspace.array("centered", x.shape))
    squares = np.einsum("nd,nd->n", x, x, dtype=np.float32)
    scaled: Float32 = np.multiply(x.T, _scales(squares, x, epsilon), out=workspace.array("u", (width, samples)))
    return scaled


def _unit_rows(x: Float32, epsilon: float) -> Float32:
    if len(x) == 1:
        return _unit(x[0], epsilon).reshape(1, -1)
    scales = _scales(np.einsum("nd,nd->n", x, x, dtype=np.float32), x, epsilon)
    rows: Float32 = np.multiply(x, scales[:, None], out=workspace.array("normalized", x.shape))
    return rows


def _unit(v: Float32, epsilon: float) -> Float32:
    """One sample as a column of length 1."""
    square = float(np.vdot(v, v))  # does not warn where it overflows
    norm = math.sqrt(square) if math.isfinite(square) else float(np.linalg.norm(v.astype(np.float64)))
    one: Float32 = v * np.float32(1.0 / max(norm, epsilon))
    return one.reshape(-1, 1)


def _scales(squares: Float32, rows: Float32, epsilon: float) -> Float32:
    """``1 / max(length, epsilon)`` of each of ``rows`` (N, d), whose ``squares`` (N,) may have overflowed."""
    if not np.isfinite(squares).all():
        squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
    scales: Float32 = (1.0 / np.maximum(np.sqrt(squares), epsilon)).astype(np.float32)
    return scales
