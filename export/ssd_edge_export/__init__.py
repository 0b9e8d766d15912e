"""From a trained run to one small standard ONNX file: prune, calibrate, export, verify.

Names are imported when first used: ``verify`` and the options work without torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_export.assembly.from_weights import Weights
    from ssd_edge_export.calibration import Calibration, calibrate
    from ssd_edge_export.export import export_model
    from ssd_edge_export.options import ExportOptions, PruneOptions, SweepOptions
    from ssd_edge_export.pruning.pruning import prune
    from ssd_edge_export.pruning.sweep import sweep
    from ssd_edge_export.pruning.sweep_result import SweepResult
    from ssd_edge_export.verification.verification import verify

__all__ = [
    "Calibration",
    "ExportOptions",
    "PruneOptions",
    "SweepOptions",
    "SweepResult",
    "Weights",
    "calibrate",
    "export_model",
    "prune",
    "sweep",
    "verify",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "assembly.from_weights": ("Weights",),
        "calibration": ("Calibration", "calibrate"),
        "export": ("export_model",),
        "options": ("ExportOptions", "PruneOptions", "SweepOptions"),
        "pruning.pruning": ("prune",),
        "pruning.sweep": ("sweep",),
        "pruning.sweep_result": ("SweepResult",),
        "verification.verification": ("verify",),
    },
)
