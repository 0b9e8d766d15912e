"""What a data file may ask of this machine, checked before anything is allocated for it."""

from __future__ import annotations

import os
import stat
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, TextIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.memory import free_memory
from ssd_edge_runtime.names import MAX_NAME

LONGEST_LINE = 1 << 24
"""Characters of a line of text."""
TEXT_FACTOR = 6
"""Bytes in memory for one of a table's text; so many where it has a single column, else four."""
WIDEST = 5
"""Bytes in memory for one of an array: uint8 values become float32 beside it."""
LONGEST_AXIS = 1 << 62
MOST_AXES = 32
"""Of any array; NumPy 2 takes twice as many, NumPy 1 does not."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def check_memory(needed: int, source: str) -> None:
    """Raise DataError where reading ``source`` would take more memory than there is."""
    free = free_memory()
    if needed > free:
        raise DataError(f"{source}: needs about {needed >> 20} MB of memory, {free >> 20} MB are free")


def read_header(stream: IO[bytes], version: tuple[int, int]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether by column, and dtype of an array.

    Raises ValueError, of one line, for what is no header.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            shape, by_column, kind = HEADERS[version](stream)
    except (ValueError, SyntaxError, TokenError, TypeError, RecursionError, MemoryError) as error:
        raise ValueError(f"its header cannot be read: {' '.join(str(error).split())[:200]}") from error
    good = len(shape) <= MOST_AXES and all(type(n) is int and 0 <= n <= LONGEST_AXIS for n in shape)
    if not good:
        raise ValueError(f"no array has shape {str(shape)[:80]}")
    return shape, by_column, kind


def check_regular(path: Path) -> None:
    """Raise DataError for a device or a pipe, which may never end; OSError where there is nothing."""
    mode = path.stat().st_mode
    DataError.unless(stat.S_ISREG(mode) or stat.S_ISDIR(mode), f"{path} is not a regular file")


def check_array(stream: IO[bytes], size: int, source: str) -> None:
    """Raise DataError unless the array that ``stream`` begins with is as large as it says and fits the memory.

    Nor may it be text wider than any class name. ``size``: bytes of the whole stream, which may be packed.
    """
    version = npy.read_magic(stream)
    if version not in HEADERS:
        raise DataError(f"{source}: arrays of format {version[0]}.{version[1]} are not read")
    shape, _, kind = read_header(stream, version)
    if kind.hasobject:
        raise DataError(
            f"{source}: an array of Python objects is not read: save it .astype(str) or .astype(float)"
        )
    if kind.kind in "US" and kind.itemsize > MAX_NAME * 4:
        raise DataError(f"{source}: text of {kind} is longer than the {MAX_NAME} characters of a class name")
    claimed = kind.itemsize
    for length in shape:
        claimed *= length
    if claimed > size:
        raise DataError(f"{source}: shape {shape} of {kind} asks for {claimed} bytes, the file has {size}")
    check_memory(claimed * (WIDEST if kind == np.uint8 else 2), source)


def check_text(values: NDArray[Any], source: str) -> None:
    """Raise DataError for an array of text that holds numbers beyond Unicode; numpy does not look."""
    if values.dtype.kind == "U":
        points = np.ascontiguousarray(values).reshape(-1).view(f"{values.dtype.byteorder}u4")
        if points.size and points.max() > sys.maxunicode:
            raise DataError(f"{source}: holds what is no text")


def bounded_lines(stream: TextIO, path: Path) -> Iterator[str]:
    """Lines of a text file. Raises DataError for an endless one, or for more text than the memory holds."""
    check_memory(os.fstat(stream.fileno()).st_size * TEXT_FACTOR, str(path))
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise DataError(f"{path}: line {number} is longer than {LONGEST_LINE} characters")
        yield line


def wanted(files: list[str]) -> list[str]:
    """Arrays of an archive that anybody reads; others are left unopened."""
    return [name for name in ("x", "y", "classes") if f"{name}.npy" in files]
