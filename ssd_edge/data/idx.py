"""The idx files of MNIST and its kin, plain or gzipped (yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import DataError

LARGEST = 1 << 30


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The unsigned bytes of one idx file, in its own shape.

    Raises DataError for anything but a whole idx file of unsigned bytes, at most 1 GiB large.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not a whole gzip file ({error})") from error
    if len(data) < 4 or len(data) > LARGEST or data[:3] != b"\x00\x00\x08" or data[3] == 0:
        raise DataError(f"{path}: not an idx file of unsigned bytes")
    start = 4 + 4 * data[3]
    shape = tuple(int.from_bytes(data[i : i + 4], "big") for i in range(4, start, 4))
    size = 1
    for length in shape:
        size *= length
    if len(data) != start + size:
        raise DataError(f"{path}: shape {shape} asks for {size} bytes, the file has {max(0, len(data) - start)}")
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def find_idx(folders: list[Path], stem: str) -> Path | None:
    """The first idx file called ``stem`` (``train-images-idx3-ubyte``), plain or gzipped, in ``folders``."""
    dotted = stem.replace("-idx", ".idx")
    for folder in folders:
        for name in (stem, f"{stem}.gz", dotted, f"{dotted}.gz"):
            if (folder / name).is_file():
                return folder / name
    return None
