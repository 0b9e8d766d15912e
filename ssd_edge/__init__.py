"""Sparse continual learning: train on a GPU, learn on the device."""

from ssd_edge_runtime import __version__

__all__ = ["__version__"]
