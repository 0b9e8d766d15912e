"""``DATA`` as the commands take it: a built-in name, a folder, a ``.npz`` or a ``.csv``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from ssd_edge.data.archives import load_npz
from ssd_edge.data.builtin import BUILTIN, SPLIT_SEED, TEST_SHARE
from ssd_edge.data.dataset import Dataset
from ssd_edge.data.folders import load_folder
from ssd_edge.data.frames import from_frame, is_frame, load_parquet
from ssd_edge.data.limits import check_regular
from ssd_edge.data.reading import Reading
from ssd_edge.data.tables import TABLES, load_csv
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.options import require_choice

Split = Literal["train", "test", "all"]


def load_data(
    data: str | Path | Any,
    *,
    split: Split = "train",
    root: str | Path | None = None,
    split_files: bool = False,
    channels: int | None = None,
    reading: Reading = Reading(),
    width: int | None = None,
) -> Dataset:
    """Read a data set.

    ``data``: ``digits``, ``mnist``, ``fashion-mnist``, ``cifar10``, ``cifar100``, ``tiny-imagenet``, a folder
    of class folders of images (or one that holds ``train`` and ``test`` folders of them), a ``.npz`` with ``x``
    and ``y`` (and ``classes``), a table (``.csv``, ``.tsv``, ``.parquet``), or a data frame of pandas, polars
    or pyarrow. ``root``: where local copies are looked for first.

    A file or folder with no parts of its own is given whole, whatever ``split`` says, unless ``split_files``:
    then a fixed stratified fifth of it is its test part. ``channels`` converts image files to 1 (gray) or 3 (RGB).
    ``reading``: what a file leaves open. ``width``: how many values a model takes of a sample.

    Raises DataError for what cannot be read and MissingExtraError where torchvision or scikit-learn is needed.
    """
    require_choice("split", split, get_args(Split))
    if is_frame(data):
        return _part(from_frame(data, reading, width), split, split_files)
    if str(data) in BUILTIN:
        return _load_builtin(str(data), split, None if root is None else Path(root))
    require_found(data)
    path = Path(data)
    check_regular(path)
    if not path.is_dir():
        return _part(_load_file(path, reading, width), split, split_files)
    found, is_part = load_folder(path, split, channels, reading.fit, width)
    return found if is_part else _part(found, split, split_files)


def require_found(data: str | Path) -> None:
    """Raise DataError unless ``data`` names a built-in data set, a file or a folder."""
    if str(data) not in BUILTIN and not Path(data).exists():
        raise DataError(f"{data}: no such file or folder, and not one of {', '.join(BUILTIN)}")


def _part(whole: Dataset, split: Split, split_files: bool) -> Dataset:
    """Of a data set without parts of its own."""
    if split == "all" or not split_files:
        return whole
    part = whole.hold_out(TEST_SHARE, SPLIT_SEED)[split == "test"]
    return replace(part, source=f"{whole.source}, {split} part")


def _load_file(path: Path, reading: Reading, width: int | None) -> Dataset:
    suffix = path.suffix.lower()
    text = partial(load_csv, reading=reading, width=width)
    readers: dict[str, Callable[[Path], Dataset]] = dict.fromkeys(TABLES, text)
    readers |= {".npz": load_npz, ".parquet": partial(load_parquet, reading=reading, width=width)}
    if suffix not in readers:
        raise DataError(f"{path}: not a folder, a .npz or a .csv file")
    try:
        return replace(readers[suffix](path), source=str(path))
    except DataError as error:
        raise error if str(error).startswith(str(path)) else DataError(f"{path}: {error}") from error


def _load_builtin(name: str, split: Split, root: Path | None) -> Dataset:
    if split != "all":
        return BUILTIN[name](split == "train", root)
    return _join(BUILTIN[name](True, root), BUILTIN[name](False, root), name)


def _join(train: Dataset, test: Dataset, name: str) -> Dataset:
    if train.classes != test.classes or train.input_shape != test.input_shape:
        raise DataError(f"{name}: the train and test parts differ in classes or in the shape of a sample")
    return Dataset(np.concatenate([train.x, test.x]), np.concatenate([train.y, test.y]), train.classes)
