"""Selective Synaptic Dampening (Foster et al., AAAI 2024): shrink the weights that served what is forgotten.

The paper compares importance to the forgotten samples with importance to all samples, of which they are few. Here
it is compared with importance to the retained ones: among few classes the forgotten one is a large share of all,
the ratio to all cannot exceed its inverse, and the paper's alpha of 10 would never select a weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.gradient.backward import (
    Pairs,
    backpropagate,
    code_gradient,
    readout_gradient,
    weight_gradient,
)
from ssd_edge_runtime.gradient.teacher_pass import logit_gradient
from ssd_edge_runtime.network.counting import Touched
from ssd_edge_runtime.network.engines import CSREngine
from ssd_edge_runtime.network.forward import forward
from ssd_edge_runtime.network.preprocess import preprocess
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.state import ModelState

BLOCK = 128


@dataclass(frozen=True)
class DampeningOptions:
    """Which weights are dampened, and how far."""

    alpha: float = 10.0
    """A weight is dampened where its importance to what is forgotten exceeds this times that to what stays."""
    limit: float = 1.0
    """The paper's lambda: it is multiplied by ``limit I_retained / I_forgotten``, at most 1."""

    def __post_init__(self) -> None:
        OptionError.unless(self.alpha > 0.0, f"alpha must be positive, got {self.alpha}")
        OptionError.unless(self.limit >= 0.0, f"limit must not be negative, got {self.limit}")


@dataclass(frozen=True)
class DampeningReport:
    """What forgetting a class by dampening changed, and what it cost the others."""

    dampened: int
    """Weights made smaller."""
    weights: int
    """Weights in all."""
    accuracy_before: float
    """On the retained samples, among the classes that stay."""
    accuracy_after: float
    """The same afterwards."""


@dataclass(eq=False)
class Importance:
    """Mean squared gradient of the log likelihood, per weight."""

    hidden: list[Float32]
    """Per layer, flat over the stored entries of W."""
    readout: Float32
    """(n, classes), of V^T."""

    def without_class(self, index: int) -> Importance:
        """The same without a class's row of V."""
        return Importance(self.hidden, np.delete(self.readout, index, axis=1))


def importance(state: ModelState, indexes: list[RowIndex], x: Float32, labels: NDArray[np.intp]) -> Importance:
    """Squared gradients of samples x float32 (N, d) with class indices ``labels``, averaged over samples.

    The square of a sample's gradient is the gradient with both of its factors squared: each weight meets each
    sample once.
    """
    readout = np.ascontiguousarray(state.readout.weights.T)
    found = Importance([np.zeros_like(layer.weights.values) for layer in state.layers], np.zeros_like(readout))
    for start in range(0, len(x), BLOCK):
        passes = forward(state.layers, preprocess(x[start : start + BLOCK], state))
        active = [Touched.by(each.codes) for each in passes]
        codes, rows = passes[-1].codes.among(active[-1].local, len(active[-1].rows)), active[-1].rows
        columns = readout.take(rows, axis=0)
        by_logits = logit_gradient(codes.read_out(columns), labels[start : start + BLOCK], None, None)
        by_logits *= np.float32(len(by_logits))
        by_hidden = backpropagate(state, indexes, passes, active, code_gradient(codes, by_logits, columns))
        for layer, index, each, (pairs, touched), total in zip(
            state.layers, indexes, passes, by_hidden, found.hidden, strict=True
        ):
            squared = Pairs(pairs.samples, pairs.neurons, np.square(pairs.values))
            added = weight_gradient(layer.weights, index, np.square(each.u), squared, touched)
            index.put(total, touched.rows, index.take(total, touched.rows) + added)
        codes.values = np.square(codes.values)
        found.readout[rows] += readout_gradient(codes, np.square(by_logits))
    for total in (*found.hidden, found.readout):
        total /= np.float32(len(x))
    return found


def accuracy(engine: CSREngine, x: Float32, labels: NDArray[np.intp]) -> float:
    """Share of samples whose highest logit is their label's."""
    return float(np.mean(engine.logits(x).argmax(axis=1) == labels))


def dampen(state: ModelState, forgotten: Importance, retained: Importance, options: DampeningOptions) -> int:
    """Shrink weights of a writable state in place; returns how many. Rows of W keep their smaller norm."""
    arrays = [layer.weights.values for layer in state.layers] + [state.readout.weights.T]
    changed = 0
    for weights, own, total in zip(
        arrays, [*forgotten.hidden, forgotten.readout], [*retained.hidden, retained.readout], strict=True
    ):
        chosen = own > options.alpha * total
        factor = np.minimum(options.limit * total[chosen] / own[chosen], 1.0)
        changed += int(np.count_nonzero(factor * weights[chosen] != weights[chosen]))
        weights[chosen] *= factor
    return changed
