"""Data sets as plain arrays, their splits into tasks, and readers that need only the base install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge.data.archives import save_npz
    from ssd_edge.data.arrays import load_arrays
    from ssd_edge.data.builtin import BUILTIN
    from ssd_edge.data.dataset import Dataset
    from ssd_edge.data.loading import load_data
    from ssd_edge.data.reading import Reading
    from ssd_edge.data.tasks import split_classes

__all__ = ["BUILTIN", "Dataset", "Reading", "load_arrays", "load_data", "save_npz", "split_classes"]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "archives": ("save_npz",),
        "arrays": ("load_arrays",),
        "builtin": ("BUILTIN",),
        "dataset": ("Dataset",),
        "loading": ("load_data",),
        "reading": ("Reading",),
        "tasks": ("split_classes",),
    },
)
