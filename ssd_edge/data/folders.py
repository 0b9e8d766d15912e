"""Folders of images: one folder a class, and parts of a data set above them."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssd_edge.data.dataset import Dataset
from ssd_edge.data.limits import check_memory
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError, DataWarning, EdgeModelError
from ssd_edge_runtime.input_facts import Fit
from ssd_edge_runtime.names import class_name
from ssd_edge_runtime.serving.images import HEIC, look, read_image, suffixes

PARTS = {"train": "train", "training": "train", "test": "test", "testing": "test"} | dict.fromkeys(
    ("val", "valid", "validation"), "validation"
)
"""Names of the parts of a data set, in any capitals, and what they are."""
SYSTEM = frozenset({"__macosx", "@eadir", "__pycache__", "thumbs.db", "desktop.ini", "$recycle.bin"})
"""What systems leave in folders, beside names that begin with a dot."""
MUCH = 1 << 26
"""Bytes of images from which on those that a model does not take are refused before they are gathered."""
UNLIMITED = Fit(1, 1)
"""Of images that will be made smaller."""
SHOWN = 5
"""Kinds of files that a note names."""


def load_folder(
    folder: Path,
    split: str = "all",
    channels: int | None = None,
    fit: Fit | None = None,
    values: int | None = None,
) -> tuple[Dataset, bool]:
    """A folder of class folders of images, or one that holds parts of that kind; and whether it holds any.

    Classes are in the order of their names; what is hidden is left out. ``split``: train, test or all of the
    parts, of which a validation part is the test part where there is no other. Raises DataError.
    """
    parts = parts_of(folder)
    if not parts:
        return _load_classes(folder, channels, fit, values), False
    if set(parts) == {"train"}:
        return _load_classes(parts["train"], channels, fit, values), False
    parts = parts if "test" in parts or split == "all" else {**parts, "test": parts["validation"]}
    chosen = list(parts) if split == "all" else [split]
    for name in chosen:
        DataError.unless(name in parts, f"{folder}: no folder {name} in it, only {', '.join(sorted(parts))}")
    if channels is None:
        channels = 1 if all(look(path, fit).gray for part in parts.values() for path in _walk(part)[0]) else 3
    loaded = [_load_classes(parts[name], channels, fit, values) for name in chosen]
    return loaded[0] if len(loaded) == 1 else _joined(loaded, folder), True


def parts_of(folder: Path) -> dict[str, Path]:
    """``train``, ``test`` and ``validation`` folders, where all that is in ``folder`` are such; else none."""
    inside = _subfolders(folder)
    found: dict[str, Path] = {}
    for path in inside:
        part = PARTS.get(path.name.lower())
        if part is None or not _subfolders(path):
            return {}
        DataError.unless(part not in found, f"{path}: there is {found.get(part)}, too, for the same part")
        found[part] = path
    return found


def image_files(folder: Path) -> list[Path]:
    """Images below ``folder``, by name. DataWarning counts files of other kinds; hidden ones are nothing."""
    files, others = _walk(folder)
    _remark(folder, others)
    return files


def stack_images(
    files: Sequence[Path], channels: int | None = None, fit: Fit | None = None, values: int | None = None
) -> Float32:
    """float32 (N, channels, height, width) in 0..1; without ``fit`` all must have the first one's size.

    Without ``channels``: 1 where no image has color, else 3. ``values``: how many a model takes of a sample, where
    that is known. Raises DataError, for images of another size before any is decoded.
    """
    if not files:
        raise DataError("no image files")
    looks = [look(path, fit) for path in files]
    if channels is None:
        channels = 1 if all(seen.gray for seen in looks) else 3
    height, width = (looks[0].height, looks[0].width) if fit is None else (fit.height, fit.width)
    for path, seen in zip(files, looks, strict=True):
        if fit is None and (seen.height, seen.width) != (height, width):
            size, first = f"{seen.width} x {seen.height} pixels", f"{files[0]} has {width} x {height}"
            raise DataError(f"{path}: {size}, but {first}: resize the images first, or with --image-size")
    gathered = 4 * len(files) * channels * height * width
    if values is not None and channels * height * width != values and gathered > MUCH:
        shape = f"{channels} x {height} x {width}"
        raise DataError(f"{files[0]}: samples have shape {shape}, the model takes {values} values")
    check_memory(gathered, str(files[0].parent))
    stack = np.empty((len(files), channels, height, width), np.float32)
    for i, path in enumerate(files):
        stack[i] = read_image(path, channels, fit)
    return stack


def picture_sizes(folder: Path) -> set[tuple[int, int]]:
    """Height and width of the images below a folder, upright; as many as there are kinds. Raises DataError."""
    looks = [look(path, UNLIMITED) for path in _walk(folder)[0]]
    return {(seen.height, seen.width) for seen in looks}


def _load_classes(folder: Path, channels: int | None, fit: Fit | None, values: int | None) -> Dataset:
    """One folder a class; folders whose names are spelled alike are one."""
    files: dict[str, list[Path]] = {}
    others: Counter[str] = Counter()
    for path in _subfolders(folder):
        found, rest = _walk(path)
        others += rest
        DataError.unless(bool(found), f"{path}: class folder without images{_cure(rest)}")
        files.setdefault(_class_of(path), []).extend(found)
    DataError.unless(bool(files), f"{folder}: no class folders in it")
    _remark(folder, others)
    names = sorted(files)
    labels = np.repeat(np.arange(len(names)), [len(files[name]) for name in names])
    stack = stack_images([path for name in names for path in files[name]], channels, fit, values)
    return Dataset(stack, labels.astype(np.int64), tuple(names), str(folder))


def _joined(parts: Sequence[Dataset], folder: Path) -> Dataset:
    if len({part.input_shape for part in parts}) > 1:
        raise DataError(f"{folder}: its parts differ in the size or color of their images")
    names = tuple(sorted({name for part in parts for name in part.classes}))
    for part in parts:
        missing = [repr(name) for name in names if name not in part.classes]
        if missing:
            warnings.warn(f"{part.source}: no folder of class {', '.join(missing)}", DataWarning, stacklevel=4)
    alike = [part.restrict(names) for part in parts]
    x, y = (np.concatenate([getattr(part, name) for part in alike]) for name in "xy")
    return Dataset(x, y, names, str(folder))


def _class_of(path: Path) -> str:
    try:
        return class_name(path.name)
    except EdgeModelError as error:
        raise DataError(f"{path}: {error}") from error


def _subfolders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _hidden(path.name))


def _walk(folder: Path) -> tuple[list[Path], Counter[str]]:
    """Images below a folder, by name, and how many files there are of each other kind."""
    files, others, readable = [], Counter[str](), suffixes()
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        for name in names:
            path = Path(place, name)
            if path.suffix.lower() in readable and path.is_file():
                files.append(path)
            elif not _hidden(name):
                others[path.suffix.lower() or "without a suffix"] += 1
    return sorted(path for path in files if not _hidden(path.name)), others


def _hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in SYSTEM


def _remark(folder: Path, others: Counter[str]) -> None:
    if others:
        kinds = ", ".join(kind for kind, _ in others.most_common(SHOWN))
        count = f"{others.total()} file{'s' if others.total() > 1 else ''} of other kinds ({kinds})"
        warnings.warn(f"{folder}: left out {count}{_cure(others)}", DataWarning, stacklevel=4)


def _cure(others: Counter[str]) -> str:
    return "; HEIC is read with a plug-in: pip install pillow-heif" if HEIC & set(others) else ""
