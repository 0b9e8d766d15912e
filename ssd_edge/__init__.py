"""Sparse continual learning: train on a GPU, learn on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ssd_edge_runtime import __version__

if TYPE_CHECKING:
    from ssd_edge.comparison import compare
    from ssd_edge.training import Run, resume, train, train_encoder

__all__ = ["Run", "__version__", "compare", "resume", "train", "train_encoder"]


def __getattr__(name: str) -> Any:
    """Import the trainer, and with it torch, only when it is asked for: device commands do without."""
    if name not in __all__:
        raise AttributeError(f"module 'ssd_edge' has no attribute {name!r}")
    from ssd_edge_runtime.errors import MissingExtraError

    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(f"ssd_edge.{name}") from error
    from ssd_edge import comparison, training

    return getattr(comparison if name == "compare" else training, name)
