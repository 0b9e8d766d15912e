"""Run an SSD-Edge model on a device, and keep learning there, without torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.detector import LossDetector
    from ssd_edge_runtime.encoder.encoder import Encoder
    from ssd_edge_runtime.errors import EdgeModelError, ScaleWarning
    from ssd_edge_runtime.ledger.entries import Remarks
    from ssd_edge_runtime.model import EdgeModel, merge, rebase
    from ssd_edge_runtime.options import AnalyticOptions, LearningOptions

# ONNX Runtime sends events and keeps a device's identifier unless it reads this when it is loaded: nothing of this
# package, and nothing that imports it, is loaded sooner.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
__all__ = [
    "AnalyticOptions",
    "EdgeModel",
    "EdgeModelError",
    "Encoder",
    "LearningOptions",
    "LossDetector",
    "Remarks",
    "ScaleWarning",
    "__version__",
    "merge",
    "rebase",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "detector": ("LossDetector",),
        "encoder.encoder": ("Encoder",),
        "errors": ("EdgeModelError", "ScaleWarning"),
        "ledger.entries": ("Remarks",),
        "model": ("EdgeModel", "merge", "rebase"),
        "options": ("AnalyticOptions", "LearningOptions"),
    },
)
