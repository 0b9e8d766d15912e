"""Which weights stay, and what is fitted afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_export.pruning.pruning import prune

__all__ = ["prune"]
__getattr__, __dir__ = lazy(__name__, {"pruning": ("prune",)})
