"""Exact codes of a model."""

from __future__ import annotations

from ssd_edge_runtime.sparse.exact import CODE_BITS, ExactInput, ExactNetwork
from ssd_edge_runtime.state import ModelState


def exact_network(state: ModelState, bits: int = CODE_BITS) -> ExactNetwork:
    """What makes the codes that an analytic readout learns from, of ``bits``."""
    before = ExactInput(state.center, state.epsilon, state.normalized_first, state.sketch)
    return ExactNetwork(before, [(layer.weights, layer.k) for layer in state.layers], bits)
