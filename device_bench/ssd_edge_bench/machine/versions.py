"""Versions of what a measurement ran on, read from the names that installers leave: nothing is imported."""

from __future__ import annotations

import os
import platform
import re
import sys
from contextlib import suppress

from ssd_edge_runtime import __version__

LIBRARIES = ("numpy", "scipy", "onnx", "onnxruntime", "torch")
INSTALLED = re.compile(rf"({'|'.join(LIBRARIES)})-([^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info", re.IGNORECASE)
"""As in ``torch-2.9.0+cpu.dist-info``. ``importlib.metadata`` would take half of the time of ``--version``."""


def versions() -> dict[str, str | None]:
    """Version of SSD-Edge, of Python and of each library; None where it is not installed."""
    found: dict[str, str | None] = dict.fromkeys(LIBRARIES)
    for folder in reversed(sys.path):  # the first one counts, as for an import
        with suppress(OSError):
            for entry in os.scandir(folder or "."):
                if match := INSTALLED.fullmatch(entry.name):
                    found[match[1].lower()] = match[2]
    return {"ssd-edge": __version__, "python": platform.python_version(), **found}
