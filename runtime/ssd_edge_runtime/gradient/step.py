"""One learning step of SSD on the sparse support: what the trainer does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.gradient.backward import backpropagate, code_gradient, readout_gradient, weight_gradient
from ssd_edge_runtime.gradient.protection import speeds
from ssd_edge_runtime.gradient.teacher import Teacher
from ssd_edge_runtime.gradient.teacher_pass import logit_gradient, teacher_forward
from ssd_edge_runtime.network.counting import Rows, Touched, count, count_inhibition
from ssd_edge_runtime.network.forward import forward
from ssd_edge_runtime.options import LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.sparse.topk import top_k
from ssd_edge_runtime.state import ModelState


def step(
    state: ModelState,
    indexes: list[RowIndex],
    teacher: Teacher | None,
    u: Float32,
    labels: NDArray[np.intp],
    options: LearningOptions,
) -> list[Rows]:
    """Learn one batch in place and count it; returns the rows of each layer that changed.

    ``u`` preprocessed float32 (d, N); ``labels`` class indices (N,). ``state`` must be the caller's own, with
    ``readout.weights`` and each ``class_count`` transposed views of contiguous (n, classes) arrays. Mean
    cross-entropy; with a teacher, ``alpha CE + (1 - alpha) [lambda sum L_hidden + (1 - lambda) L_logits]``;
    protected rows move less; global norm clip, SGD, clamp, and L2 normalization of the rows that changed.
    """
    passes = forward(state.layers, u, options.switch)
    active = [Touched.by(each.codes) for each in passes]
    readout, rows = state.readout.weights.T, active[-1].rows
    # V's columns of active neurons, the only ones read and changed, and the codes over these neurons alone.
    columns = readout.take(rows, axis=0)
    codes = passes[-1].codes.among(active[-1].local, len(rows))
    distill = options.distill if teacher is not None else None
    taught = teacher_forward(teacher, state, passes, distill) if teacher and distill else None
    by_logits = logit_gradient(codes.read_out(columns), labels, taught, distill)
    by_columns = readout_gradient(codes, by_logits)
    by_hidden = backpropagate(
        state, indexes, passes, active, code_gradient(codes, by_logits, columns), taught, distill
    )
    changed = [touched.rows for _, touched in by_hidden]
    gradients = [
        weight_gradient(layer.weights, index, each.u, *pairs)
        for layer, index, each, pairs in zip(state.layers, indexes, passes, by_hidden, strict=True)
    ]
    for layer, index, moved, gradient in zip(state.layers, indexes, changed, gradients, strict=True):
        speed = speeds(layer, moved, options.protect)
        if speed is not None:
            gradient *= index.spread(speed, moved)
    if teacher is not None:
        # A neuron active in the batch is among the changed ones, so the last layer's rows cover V's columns.
        teacher.keep(state, indexes, changed)
    squares = sum(float(np.vdot(g, g)) for g in (*gradients, by_columns))
    rate = np.float32(options.learning_rate * min(1.0, options.clip_norm / (squares**0.5 + 1e-6)))
    for layer, index, moved, gradient in zip(state.layers, indexes, changed, gradients, strict=True):
        gradient *= rate
        _update_rows(layer.weights, index, moved, gradient, options.nonnegative)
    by_columns *= rate
    columns -= by_columns
    readout[rows] = np.maximum(columns, 0.0, out=columns) if options.nonnegative else columns
    for layer, each, touched in zip(state.layers, passes, active, strict=True):
        codes = each.codes
        if each.gated:
            count_inhibition(layer, touched, options)
            codes = top_k(each.h, layer.k)
            touched = Touched.by(codes)
        count(layer, codes, touched, labels)
    return changed


def _update_rows(weights: CSRMatrix, index: RowIndex, rows: Rows, change: Float32, nonnegative: bool) -> None:
    values = index.take(weights.values, rows)
    values -= change
    if nonnegative:
        np.maximum(values, 0.0, out=values)
    if index.uniform is not None:
        block = values.reshape(-1, index.uniform)
        block /= np.maximum(np.sqrt(np.einsum("re,re->r", block, block)), 1e-12)[:, None]
    else:
        row = index.spread(np.arange(len(rows)), rows)
        norms = np.sqrt(np.bincount(row, np.square(values), minlength=len(rows)))
        values /= np.maximum(norms, 1e-12).astype(np.float32)[row]
    index.put(weights.values, rows, values)
