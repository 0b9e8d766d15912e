"""From a trained run to one small standard ONNX file: prune, calibrate, export, verify.

Names are imported when first used: ``verify`` and the options work without torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
_HOMES = {
    "Calibration": "calibration",
    "ExportOptions": "options",
    "PruneOptions": "options",
    "SweepOptions": "options",
    "SweepResult": "pruning.sweep_result",
    "Weights": "assembly.from_weights",
    "calibrate": "calibration",
    "export_model": "export",
    "prune": "pruning.pruning",
    "sweep": "pruning.sweep",
    "verify": "verification.verification",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
