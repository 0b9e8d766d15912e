"""Files that end: devices and pipes may not, and are refused before they are read."""

from __future__ import annotations

import os
import stat
from os import PathLike
from typing import IO

from ssd_edge_runtime.errors import SSDEdgeError


def open_regular(path: str | PathLike[str], error: type[SSDEdgeError]) -> IO[bytes]:
    """A regular file, to read. Raises ``error`` for a device or a pipe, which may never end, OSError."""
    # A pipe without a writer would hold a plain open up.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(21, "Is a directory", str(path))
        error.unless(stat.S_ISREG(kind), f"{path} is not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_at_most(path: str | PathLike[str], most: int, error: type[SSDEdgeError]) -> bytes:
    """The bytes of a small regular file. Raises ``error`` for another kind and for more than ``most`` bytes."""
    with open_regular(path, error) as stream:
        data = stream.read(most + 1)
    error.unless(len(data) <= most, f"{path} has more than {most} bytes")
    return data
