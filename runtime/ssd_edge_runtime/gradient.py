"""One learning step of SSD on the sparse support: what the trainer does once inhibition is complete."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import _sparsetools

from ssd_edge_runtime.counting import Rows, Touched, count
from ssd_edge_runtime.csr import CSRMatrix, Float32
from ssd_edge_runtime.distill import kl_gradient
from ssd_edge_runtime.forward import LayerPass, forward, hidden, softmax
from ssd_edge_runtime.options import DistillOptions, LearningOptions
from ssd_edge_runtime.rows import RowIndex
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.teacher import LiveTeacher
from ssd_edge_runtime.topk import Codes, top_k


@dataclass(eq=False)
class Pairs:
    """Gradient by single activations: at (sample, neuron), ``value``; a pair may stand twice, its values add."""

    samples: NDArray[np.integer]
    neurons: NDArray[np.integer]
    values: Float32


def step(
    state: ModelState,
    indexes: list[RowIndex],
    teacher: LiveTeacher | None,
    u: Float32,
    labels: NDArray[np.intp],
    options: LearningOptions,
) -> list[Rows]:
    """Learn one batch in place and count it; returns the rows of each layer that changed.

    ``u`` preprocessed float32 (d, N); ``labels`` class indices (N,). ``state`` must be the caller's own, with
    ``readout.weights`` and each ``class_count`` transposed views of contiguous (n, classes) arrays. Mean
    cross-entropy; with a teacher, ``alpha CE + (1 - alpha) [lambda sum L_hidden + (1 - lambda) L_logits]``; global
    norm clip, SGD, clamp, and L2 normalization of the rows that changed.
    """
    passes = forward(state.layers, u)
    readout = state.readout.weights.T
    codes = passes[-1].codes
    distill = options.distill if teacher is not None else None
    taught = teacher_forward(teacher, state, passes, distill) if teacher and distill else None
    by_logits = logit_gradient(codes.read_out(readout), labels, taught, distill)
    by_codes = np.einsum("pc,pc->p", by_logits[codes.samples()], readout[codes.neurons])
    active = [Touched.of(each.codes.neurons, each.codes.shape[1]) for each in passes]
    by_readout = _readout_gradient(codes, active[-1], by_logits)
    changed, gradients = _hidden_gradients(state, indexes, passes, taught, distill, by_codes)
    if teacher is not None:
        # A neuron active in the batch is among the changed ones, so the last layer's rows cover V's columns.
        teacher.keep(state, indexes, changed)
    squares = sum(float(g @ g) for g in gradients) + float(np.vdot(by_readout, by_readout))
    rate = np.float32(options.learning_rate * min(1.0, options.clip_norm / (squares**0.5 + 1e-6)))
    for layer, index, rows, gradient in zip(state.layers, indexes, changed, gradients, strict=True):
        _update_rows(layer.weights, index, rows, rate * gradient, options.nonnegative)
    columns = readout[active[-1].rows] - rate * by_readout
    readout[active[-1].rows] = np.maximum(columns, 0.0, out=columns) if options.nonnegative else columns
    for layer, each, touched in zip(state.layers, passes, active, strict=True):
        count(layer, each.codes, touched, labels)
    return changed


@dataclass(eq=False)
class Taught:
    """The teacher's own forward pass: what is distilled of it."""

    hidden: list[Float32]
    """Per layer, z (or a) of the selected neurons, (N, n_distill)."""
    selected: list[NDArray[np.int32]]
    """Per layer, those neurons."""
    logits: Float32
    """(N, teacher classes)."""


def teacher_forward(
    teacher: LiveTeacher, state: ModelState, passes: list[LayerPass], options: DistillOptions
) -> Taught:
    """Run the teacher on the student's batch; of its first layer only the changed rows are computed."""
    outputs, codes, same = [], passes[0].codes, True
    for number, (layer, own) in enumerate(zip(state.layers, passes, strict=True)):
        u, h = own.u, own.h
        if not same:
            u = codes.to_columns()
            h = hidden(layer.weights, u)
        old = teacher.hidden(number, h, u)
        same = same and old is own.h
        codes = own.codes if same else top_k(old, layer.k)
        chosen = teacher.selected[number]
        before = options.hidden_stage == "before"
        outputs.append(np.maximum(old[chosen].T, 0.0) if before else dense_part(codes, chosen))
    return Taught(outputs, teacher.selected, teacher.read_out(codes, state.readout.weights.T))


def dense_part(codes: Codes, chosen: NDArray[np.int32]) -> Float32:
    """``z`` of the neurons ``chosen``, float32 (N, m)."""
    place = np.full(codes.shape[1], -1)
    place[chosen] = np.arange(len(chosen))
    at = place[codes.neurons]
    inside = at >= 0
    dense = np.zeros((codes.shape[0], len(chosen)), np.float32)
    dense[codes.samples()[inside], at[inside]] = codes.values[inside]
    return dense


def logit_gradient(
    logits: Float32, labels: NDArray[np.intp], taught: Taught | None, distill: DistillOptions | None
) -> Float32:
    """Gradient of the loss by the logits, float32 (N, classes), hidden terms aside."""
    gradient = softmax(logits)
    gradient[np.arange(len(labels)), labels] -= 1.0
    gradient /= np.float32(len(labels))
    if taught is None or distill is None:
        return gradient
    gradient *= np.float32(distill.alpha)
    target = taught.logits
    known = target.shape[1]
    if distill.logit_scope == "all":
        target = np.pad(target, ((0, 0), (0, logits.shape[1] - known)))
    scope = target.shape[1]
    weight = np.float32((1.0 - distill.alpha) * (1.0 - distill.lambda_hidden))
    if scope:
        gradient[:, :scope] += weight * kl_gradient(logits[:, :scope], target, distill.temperature, distill.kl)
    return gradient


def _hidden_gradients(
    state: ModelState,
    indexes: list[RowIndex],
    passes: list[LayerPass],
    taught: Taught | None,
    distill: DistillOptions | None,
    by_codes: Float32,
) -> tuple[list[Rows], list[Float32]]:
    changed: list[Rows] = []
    gradients: list[Float32] = []
    for number in reversed(range(len(passes))):
        layer, own, index = state.layers[number], passes[number], indexes[number]
        pairs = Pairs(own.codes.samples(), own.codes.neurons, by_codes)
        if taught is not None and distill is not None:
            pairs = _with_distillation(pairs, own, taught.hidden[number], taught.selected[number], distill)
        touched = Touched.of(pairs.neurons, layer.weights.shape[0])
        changed.insert(0, touched.rows)
        gradients.insert(0, weight_gradient(layer.weights, index, own.u, pairs, touched))
        if number:
            below = passes[number - 1].codes
            by_input = _input_gradient(index.extract(layer.weights, touched.rows), pairs, touched, own.u.shape[1])
            by_codes = by_input[below.neurons, below.samples()]
    return changed, gradients


def _with_distillation(
    pairs: Pairs, own: LayerPass, target: Float32, chosen: NDArray[np.int32], options: DistillOptions
) -> Pairs:
    """Add the gradient of L_hidden; "after", it reaches active neurons only, "before", all that fire."""
    weight = np.float32((1.0 - options.alpha) * options.lambda_hidden)
    if options.hidden_stage == "before":
        a = np.maximum(own.h[chosen].T, 0.0)
        gradient = weight * kl_gradient(a, target, options.temperature, options.kl)
        samples, at = np.nonzero(a > 0.0)
        return Pairs(
            np.concatenate([pairs.samples, samples]),
            np.concatenate([pairs.neurons, chosen[at]]),
            np.concatenate([pairs.values, gradient[samples, at]]),
        )
    gradient = weight * kl_gradient(dense_part(own.codes, chosen), target, options.temperature, options.kl)
    place = np.full(own.codes.shape[1], -1)
    place[chosen] = np.arange(len(chosen))
    at = place[pairs.neurons]
    inside = np.flatnonzero(at >= 0)
    values = pairs.values.copy()
    values[inside] += gradient[pairs.samples[inside], at[inside]]
    return Pairs(pairs.samples, pairs.neurons, values)


def _readout_gradient(codes: Codes, touched: Touched, by_logits: Float32) -> Float32:
    """``Z^T dL/dlogits`` for the touched neurons, float32 (touched, classes)."""
    out = np.zeros((len(touched.rows), by_logits.shape[1]), np.float32)
    local = touched.local.astype(np.int32)
    _sparsetools.csc_matvecs(
        len(out), len(by_logits), out.shape[1], codes.indptr, local, codes.values, by_logits.ravel(), out.ravel()
    )
    return out


def weight_gradient(weights: CSRMatrix, index: RowIndex, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    """``sum of value * u[:, sample]`` on the support of the touched rows, flat float32, row after row."""
    if u.shape[1] == 1 and len(pairs.neurons) == len(touched.rows):
        values = np.empty(len(touched.rows), np.float32)
        values[touched.local] = pairs.values
        columns = index.take(weights.columns, touched.rows)
        inputs: Float32 = u.ravel()[columns]
        inputs *= np.repeat(values, index.lengths[touched.rows])
        return inputs
    if index.uniform is not None:
        return _uniform_gradient(weights, index.uniform, u, pairs, touched)
    return _ragged_gradient(weights, index, u, pairs, touched)


def _uniform_gradient(weights: CSRMatrix, length: int, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    order = np.argsort(touched.local, kind="stable")
    pointers = np.zeros(len(touched.rows) + 1, np.int32)
    np.cumsum(np.bincount(touched.local, minlength=len(touched.rows)), out=pointers[1:])
    at = weights.columns.reshape(-1, length)[pairs.neurons[order]]
    inputs = u.ravel().take(at * np.int64(u.shape[1]) + pairs.samples[order][:, None])
    out = np.zeros((len(touched.rows), length), np.float32)
    here = np.arange(len(order), dtype=np.int32)
    _sparsetools.csr_matvecs(
        len(out), len(order), length, pointers, here, pairs.values[order], inputs.ravel(), out.ravel()
    )
    return out.ravel()


def _ragged_gradient(weights: CSRMatrix, index: RowIndex, u: Float32, pairs: Pairs, touched: Touched) -> Float32:
    pointers = index.pointers(touched.rows)
    lengths = index.lengths[pairs.neurons]
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    starts = pointers[:-1].astype(np.int64)[touched.local]
    position = np.arange(total) + np.repeat(starts - ends + lengths, lengths)
    columns = index.take(weights.columns, touched.rows)[position]
    inputs = u.ravel().take(columns * np.int64(u.shape[1]) + np.repeat(pairs.samples, lengths))
    inputs *= np.repeat(pairs.values, lengths)
    return np.bincount(position, inputs, minlength=int(pointers[-1])).astype(np.float32)


def _input_gradient(rows: CSRMatrix, pairs: Pairs, touched: Touched, samples: int) -> Float32:
    """``W^T dL/dh``, float32 (d, N), from the touched rows of W."""
    by_hidden = np.zeros((len(touched.rows), samples), np.float32)
    np.add.at(by_hidden, (touched.local, pairs.samples), pairs.values)
    out = np.zeros((rows.shape[1], samples), np.float32)
    # The compressed rows of W are the compressed columns of its transpose.
    _sparsetools.csc_matvecs(
        rows.shape[1],
        rows.shape[0],
        samples,
        rows.indptr,
        rows.columns,
        rows.values,
        by_hidden.ravel(),
        out.ravel(),
    )
    return out


def _update_rows(weights: CSRMatrix, index: RowIndex, rows: Rows, change: Float32, nonnegative: bool) -> None:
    values = index.take(weights.values, rows)
    values -= change
    if nonnegative:
        np.maximum(values, 0.0, out=values)
    lengths = index.lengths[rows]
    if index.uniform is not None:
        block = values.reshape(-1, index.uniform)
        block /= np.maximum(np.sqrt(np.einsum("re,re->r", block, block)), 1e-12)[:, None]
    else:
        row = np.repeat(np.arange(len(rows)), lengths)
        norms = np.sqrt(np.bincount(row, np.square(values), minlength=len(rows)))
        values /= np.maximum(norms, 1e-12).astype(np.float32)[row]
    index.put(weights.values, rows, values)
