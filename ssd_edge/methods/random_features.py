"""Random features: Gaussian rows of W, never trained; only the readout learns."""

from __future__ import annotations

from typing import ClassVar

from ssd_edge.methods.method import Method
from ssd_edge_runtime.options import ReadoutKind


class Random(Method):
    """Top-K of a fixed random projection: with the analytic readout, a baseline that is hard to beat."""

    name: ClassVar[str] = "random"
    is_network: ClassVar[bool] = True
    readout: ClassVar[ReadoutKind] = "analytic"
    learns_features: ClassVar[bool] = False
    lr: ClassVar[float] = 0.5
    readout_init: ClassVar[float | None] = 0.0
