"""Consecutive arrays in NumPy's ``.npy`` format on a stream, as ``np.save`` writes them; nothing is unpickled."""

from __future__ import annotations

import io
from collections.abc import Iterator
from math import prod
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ssd_edge.data.limits import HEADERS, WIDEST, check_memory, read_header
from ssd_edge_runtime.errors import DataError

KINDS = "fiubU"
LONGEST_HEADER = 10_000
PIECE = 1 << 20
"""Bytes read at once: what a header promises is not allocated before it is there."""


class CutOffError(DataError):
    """The stream ended in the middle of a frame."""


def read_frames(stream: IO[bytes]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Name (``frame 1``, ...) and array of each frame, as soon as it is there.

    Raises :class:`CutOffError` where the stream ends inside a frame, and DataError for what is no frame, holds
    anything but numbers or text, or does not fit the memory: nothing after that can be read.
    """
    number = 1
    while start := stream.read(1):
        yield f"frame {number}", _read_frame(stream, start, f"frame {number}")
        number += 1


def _read_frame(stream: IO[bytes], start: bytes, source: str) -> NDArray[Any]:
    start += _read(stream, len(npy.MAGIC_PREFIX) + 1, source)
    prefix, version = start[:-2], (start[-2], start[-1])
    if prefix != npy.MAGIC_PREFIX:
        raise DataError(f"{source}: no .npy array begins here")
    if version not in HEADERS:
        raise DataError(f"{source}: arrays of format {version[0]}.{version[1]} are not read")
    length = _read(stream, 2 if version == (1, 0) else 4, source)
    size = int.from_bytes(length, "little")
    if size > LONGEST_HEADER:
        raise DataError(f"{source}: a header of {size} bytes is longer than {LONGEST_HEADER}")
    header = io.BytesIO(length + _read(stream, size, source))
    try:
        shape, by_column, kind = read_header(header, version)
    except ValueError as error:
        raise DataError(f"{source}: {error}") from error
    if kind.kind not in KINDS or not kind.itemsize or kind.shape:
        raise DataError(f"{source}: arrays of {kind} are not read, only of numbers and text")
    claimed = prod(shape) * kind.itemsize
    check_memory(claimed * (WIDEST if kind == np.uint8 else 2), source)
    flat = np.frombuffer(_read(stream, claimed, source), kind)
    try:
        return flat.reshape(shape, order="F" if by_column else "C")
    except ValueError as error:
        raise DataError(f"{source}: no array has shape {str(shape)[:80]} ({error})") from error


def _read(stream: IO[bytes], size: int, source: str) -> bytearray:
    """Exactly ``size`` bytes."""
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), PIECE))
        if not piece:
            raise CutOffError(f"{source}: cut off, {size - len(data)} of {size} bytes are missing")
        data += piece
    return data
