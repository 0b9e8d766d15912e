"""Where a model file really is, and what stands beside it: a symbolic link has nothing beside it."""

from __future__ import annotations

import errno
import os
from pathlib import Path


def place_of(path: str | os.PathLike[str]) -> Path:
    """The file that ``path`` leads to, whether or not it exists. Raises OSError for links that go round."""
    try:
        return Path(path).resolve()
    except RuntimeError:  # how Python before 3.13 says it
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def beside(path: str | os.PathLike[str], ending: str) -> Path:
    """``model.onnx`` and an ending, in the folder of the file itself."""
    place = place_of(path)
    return place.with_name(f"{place.name}.{ending}")
