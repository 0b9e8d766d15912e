"""SDMLP: Sparse Distributed Memory as a multi-layer perceptron (Bricken et al., ICLR 2023)."""

from __future__ import annotations

from typing import ClassVar

from ssd_edge.methods.method import Method


class SDMLP(Method):
    """Top-K layers with the GABA switch, plain SGD, clamped weights and rows of length 1: all in the network.

    Forgetting is resisted by sparsity alone: a step changes the rows of the k neurons that fire.
    """

    name: ClassVar[str] = "sdmlp"
    is_network: ClassVar[bool] = True
