"""Versions of what a measurement ran on, read from package metadata: nothing is imported."""

from __future__ import annotations

import importlib.metadata
import platform

from ssd_edge_runtime import __version__

LIBRARIES = ("numpy", "scipy", "onnx", "onnxruntime", "torch")


def versions() -> dict[str, str | None]:
    """Version of SSD-Edge, of Python and of each library; None where it is not installed."""
    found: dict[str, str | None] = {"ssd-edge": __version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            found[library] = None
    return found
