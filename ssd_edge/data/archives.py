"""Arrays on disk: ``.npz`` and ``.npy``; nothing is ever unpickled."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import read_array
from numpy.typing import NDArray

from ssd_edge.data.dataset import Dataset
from ssd_edge.data.labels import named, number_labels
from ssd_edge.data.limits import check_array, check_regular, check_text, wanted
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.serving.foreign import NUMBERS
from ssd_edge_runtime.serving.labels import label_values
from ssd_edge_runtime.storage.atomic import writing

UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
)
"""What NumPy and zipfile raise where a file is not what it says; RuntimeError where it is encrypted."""


def as_samples(x: NDArray[Any], source: str) -> Float32:
    """float32 samples: numbers as they are, uint8 (pixels) divided by 255; what is no number is refused.

    Other whole numbers may be a sensor's, so that nothing is guessed of them.
    """
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind not in NUMBERS:
        raise DataError(f"{source}: x must be numbers, got {x.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, np.float32)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz``, or of an ``.npy`` as ``x``."""
    try:
        check_regular(path)
        if zipfile.is_zipfile(path):
            return _read_archive(path)
        with path.open("rb") as stream:
            check_array(stream, path.stat().st_size, str(path))
            stream.seek(0)
            return {"x": np.load(stream, allow_pickle=False)}
    except (FileNotFoundError, PermissionError, IsADirectoryError, DataError):
        raise
    except UNREADABLE as error:
        raise DataError(f"{path}: not a NumPy file that can be read ({error})") from error


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        names = wanted(archive.namelist())
        for name in names:
            with archive.open(f"{name}.npy") as stream:
                check_array(stream, archive.getinfo(f"{name}.npy").file_size, f"{path}: {name}")
        for name in names:
            # The very entry that was checked: NumPy would take another that is called x, without an ending.
            with archive.open(f"{name}.npy") as stream:
                found[name] = read_array(stream, allow_pickle=False)
            check_text(found[name], f"{path}: {name}")
    return found


def others_in(path: Path) -> str:
    """What an archive has in place of what is looked for, to be told."""
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    return f"; there are {', '.join(map(repr, names[:10]))}" if names else ""


def load_npz(path: Path) -> Dataset:
    """``x`` (N, ...), ``y`` and optionally ``classes``, the names by index.

    ``y``: one label per sample, (N,) or (N, 1), text or whole numbers, or one-hot. Without ``classes``, the
    label i is the class ``str(i)``. Raises DataError.
    """
    arrays = read_arrays(path)
    for name in ("x", "y"):
        if name not in arrays:
            raise DataError(f"{path}: no array {name!r} in it{others_in(path)}")
    x, y = as_samples(arrays["x"], str(path)), arrays["y"]
    labels = named(label_values(y), lambda at: f"{path}: y[{at}]")
    if "classes" not in arrays:
        return Dataset(x, *number_labels(labels))
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind not in "US" or not all(map(str.isdecimal, labels)):
        raise DataError(f"{path}: classes must be text, one name per index, and y indices into it")
    return Dataset(x, np.array(labels).astype(np.int64), tuple(names.astype(np.str_).tolist()))


def save_npz(path: Path, dataset: Dataset) -> None:
    """Write ``x`` float32, ``y`` int64 and ``classes`` unicode; the file appears whole or not at all."""
    with writing(path) as stream:
        np.savez(stream, x=dataset.x, y=dataset.y, classes=np.array(dataset.classes, dtype=np.str_))
