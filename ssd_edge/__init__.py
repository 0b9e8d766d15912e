"""Sparse continual learning: train on a GPU, learn on the device."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime import __version__

if TYPE_CHECKING:
    from ssd_edge import on_device
    from ssd_edge.comparison import compare
    from ssd_edge.data import load_data
    from ssd_edge.training import Run, TrainConfig, resume, train, train_encoder
    from ssd_edge_export import export_model, prune, sweep, verify

__all__ = [
    "Run",
    "TrainConfig",
    "__version__",
    "compare",
    "export_model",
    "load_data",
    "on_device",
    "prune",
    "resume",
    "sweep",
    "train",
    "train_encoder",
    "verify",
]
# The whole job in one face, so that a notebook needs one import. ssd_edge_export stands above this package: it is
# named here as text and imported by who asks for it, while no module of this package depends on it.
_HOMES = {
    "Run": "ssd_edge.training",
    "TrainConfig": "ssd_edge.training",
    "compare": "ssd_edge.comparison",
    "export_model": "ssd_edge_export",
    "load_data": "ssd_edge.data",
    "on_device": "ssd_edge.on_device",
    "prune": "ssd_edge_export",
    "resume": "ssd_edge.training",
    "sweep": "ssd_edge_export",
    "train": "ssd_edge.training",
    "train_encoder": "ssd_edge.training",
    "verify": "ssd_edge_export",
}
_WITHOUT_TORCH = ("load_data", "on_device", "verify")


def __getattr__(name: str) -> Any:
    """Import the trainer, and with it torch, only when it is asked for: device commands do without."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ssd_edge' has no attribute {name!r}")
    if name not in _WITHOUT_TORCH:
        _require_torch(name)
    if name == "on_device":  # a package of this one, which importing makes an attribute
        return importlib.import_module("ssd_edge.on_device")
    found = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return found


def __dir__() -> list[str]:
    return __all__


def _require_torch(name: str) -> None:
    from ssd_edge_runtime.errors import MissingExtraError

    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"ssd_edge.{name}") from error
