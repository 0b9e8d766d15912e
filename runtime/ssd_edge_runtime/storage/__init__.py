"""Files that survive: atomic writes, generations, one writer, journal and its records, signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.storage.generations import Generation
    from ssd_edge_runtime.storage.locking import locked
    from ssd_edge_runtime.storage.purging import purge
    from ssd_edge_runtime.storage.source import Source, load_state, save_state
    from ssd_edge_runtime.storage.store import KEEP, save
    from ssd_edge_runtime.storage.tree import history, next_generation, rollback

__all__ = [
    "KEEP",
    "Generation",
    "Source",
    "history",
    "load_state",
    "locked",
    "next_generation",
    "purge",
    "rollback",
    "save",
    "save_state",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "generations": ("Generation",),
        "locking": ("locked",),
        "purging": ("purge",),
        "source": ("Source", "load_state", "save_state"),
        "store": ("KEEP", "save"),
        "tree": ("history", "next_generation", "rollback"),
    },
)
