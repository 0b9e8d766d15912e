"""Run an SSD-Edge model on a device, and keep learning there, without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.detector import LossDetector
    from ssd_edge_runtime.encoder.encoder import Encoder
    from ssd_edge_runtime.errors import EdgeModelError
    from ssd_edge_runtime.ledger.entries import Remarks
    from ssd_edge_runtime.model import EdgeModel, merge, rebase
    from ssd_edge_runtime.options import AnalyticOptions, LearningOptions

__version__ = "0.1.0"
__all__ = [
    "AnalyticOptions",
    "EdgeModel",
    "EdgeModelError",
    "Encoder",
    "LearningOptions",
    "LossDetector",
    "Remarks",
    "__version__",
    "merge",
    "rebase",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "detector": ("LossDetector",),
        "encoder.encoder": ("Encoder",),
        "errors": ("EdgeModelError",),
        "ledger.entries": ("Remarks",),
        "model": ("EdgeModel", "merge", "rebase"),
        "options": ("AnalyticOptions", "LearningOptions"),
    },
)
