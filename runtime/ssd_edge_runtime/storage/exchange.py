"""Two names that change places in one step, which Python has no call for."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

HERE = -100
"""AT_FDCWD: names are taken from the current folder."""
EXCHANGE = 2
"""RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS."""


def exchanged(one: Path, other: Path) -> bool:
    """Let two files or folders of one filesystem change places; false, nothing done, where that cannot be."""
    call = _call()
    return call is not None and call(os.fsencode(one), os.fsencode(other)) == 0


def _call() -> Callable[[bytes, bytes], int] | None:
    try:
        system = ctypes.CDLL(None)
        if sys.platform == "darwin":
            return lambda one, other: int(system.renamex_np(one, other, EXCHANGE))
        rename = system.renameat2
    except (AttributeError, OSError, TypeError):
        return None
    return lambda one, other: int(rename(HERE, one, HERE, other, EXCHANGE))
