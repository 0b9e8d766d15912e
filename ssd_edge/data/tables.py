"""Arrays and tables on disk: ``.npz``, ``.npy``, ``.csv``."""

from __future__ import annotations

import csv
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data.dataset import Dataset
from ssd_edge.data.limits import bounded_lines, check_array, check_text, wanted
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError

LABEL_COLUMNS = ("label", "class", "y")


def as_samples(x: NDArray[Any], source: str) -> Float32:
    """float32 samples: floats as they are, uint8 divided by 255; other types are refused."""
    if x.dtype == np.uint8:
        return x.astype(np.float32) / np.float32(255)
    if x.dtype.kind != "f":
        raise DataError(f"{source}: x must be float (as the model takes it) or uint8 (0 to 255), got {x.dtype}")
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(x, np.float32)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz``, or of an ``.npy`` as ``x``; nothing is unpickled."""
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(path)
        with path.open("rb") as stream:
            check_array(stream, path.stat().st_size, str(path))
            stream.seek(0)
            return {"x": np.load(stream, allow_pickle=False)}
    except (FileNotFoundError, PermissionError, IsADirectoryError, DataError):
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path}: not a NumPy file that can be read ({error})") from error


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        for name in wanted([entry.removesuffix(".npy") for entry in archive.namelist()]):
            with archive.open(f"{name}.npy") as stream:
                check_array(stream, archive.getinfo(f"{name}.npy").file_size, f"{path}: {name}")
    with np.load(path, allow_pickle=False) as arrays:
        found = {name: arrays[name] for name in wanted(arrays.files)}
    for name, values in found.items():
        check_text(values, f"{path}: {name}")
    return found


def load_npz(path: Path) -> Dataset:
    """``x`` (N, ...), ``y`` (N,) and optionally ``classes``, the names by index.

    Without ``classes``, integer labels i are the classes ``str(i)`` and text labels name their classes.
    """
    arrays = read_arrays(path)
    for name in ("x", "y"):
        if name not in arrays:
            raise DataError(f"{path}: no array {name!r} in it")
    x, y = as_samples(arrays["x"], str(path)), arrays["y"]
    if y.ndim != 1 or y.dtype.kind not in "iuU":
        raise DataError(f"{path}: y must be one integer or text per sample, got {y.dtype} of shape {y.shape}")
    if "classes" not in arrays:
        labels, classes = number_labels([str(label) for label in y.tolist()])
        return Dataset(x, labels, classes)
    names = arrays["classes"]
    if names.ndim != 1 or names.dtype.kind != "U" or y.dtype.kind == "U":
        raise DataError(f"{path}: classes must be text, one name per index, and y indices into it")
    return Dataset(x, y.astype(np.int64), tuple(str(name) for name in names))


def number_labels(names: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Indices and class names; names sort as numbers where all are whole numbers, else as text."""
    unique = sorted(set(names), key=lambda name: (int(name), name) if _whole(names) else (0, name))
    number = {name: i for i, name in enumerate(unique)}
    return np.array([number[name] for name in names], np.int64), tuple(unique)


def _whole(names: list[str]) -> bool:
    return all(name.removeprefix("-").isdecimal() for name in set(names))


def load_csv(path: Path, *, labelled: bool = True) -> Dataset:
    """One sample a line; the label column is called label, class or y in a header, else it is the last.

    With ``labelled=False`` a label column is one that a header names; without one, all classes are ``""``.
    """
    header, rows = _read_rows(path)
    width = len(header or rows[0][1])
    column = _label_column(header)
    if column is None and labelled:
        column = width - 1
    features, names = [], []
    for line, row in rows:
        if len(row) != width:
            raise DataError(f"{path}: line {line} has {len(row)} columns, expected {width}")
        names.append(_label(row.pop(column)) if column is not None else "")
        try:
            features.append(np.array(row, np.float64))
        except ValueError as error:
            raise DataError(f"{path}: line {line}: {error}") from error
    labels, classes = number_labels(names)
    return Dataset(as_samples(np.array(features), str(path)), labels, classes)


def _read_rows(path: Path) -> tuple[list[str] | None, list[tuple[int, list[str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [(line, row) for line, row in enumerate(csv.reader(bounded_lines(stream, path)), 1) if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    header = rows.pop(0)[1] if rows and _is_header(rows[0][1]) else None
    if not rows:
        raise DataError(f"{path}: no samples in it")
    return header, rows


def _is_header(row: list[str]) -> bool:
    return any(_name(cell) in LABEL_COLUMNS for cell in row) or not any(_is_number(cell) for cell in row)


def _label_column(header: list[str] | None) -> int | None:
    names = [_name(cell) for cell in header or []]
    return next((names.index(name) for name in LABEL_COLUMNS if name in names), None)


def _name(cell: str) -> str:
    return cell.strip().lower()


def _label(cell: str) -> str:
    """A label cell as a class name; ``3.0``, as spreadsheets write it, is ``3``."""
    name = cell.strip()
    return name.removesuffix(".0") if _whole([name.removesuffix(".0")]) else name


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def save_npz(path: Path, dataset: Dataset) -> None:
    """Write ``x`` float32, ``y`` int64 and ``classes`` unicode; the file appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.savez(stream, x=dataset.x, y=dataset.y, classes=np.array(dataset.classes, dtype=np.str_))
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
