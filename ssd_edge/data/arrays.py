"""Samples without labels, as ``infer`` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from ssd_edge.data.archives import as_samples, others_in, read_arrays
from ssd_edge.data.folders import image_files, stack_images
from ssd_edge.data.frames import read_columns, read_parquet
from ssd_edge.data.limits import check_regular
from ssd_edge.data.reading import Reading
from ssd_edge.data.tables import TABLES, read_table
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.serving.images import HEIC, SUFFIXES


@dataclass(frozen=True)
class Numbered(Sequence[str]):
    """``part.npz[0]``, ``part.npz[1]`` and so on: told one at a time, as there may be millions."""

    name: str
    total: int

    def __len__(self) -> int:
        return self.total

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        places = range(self.total)[index]
        return f"{self.name}[{places}]" if isinstance(places, int) else [f"{self.name}[{at}]" for at in places]


def load_arrays(
    path: str | Path,
    *,
    channels: int | None = None,
    reading: Reading = Reading(),
    width: int | None = None,
) -> tuple[Float32, Sequence[str]]:
    """Samples float32 (N, ...) and where each comes from (``photo.png``, ``part.npz[3]``).

    ``path``: an image, a folder of images, an ``.npz`` with ``x``, an ``.npy``, or a ``.csv`` whose label
    column, if any, is named in a header or by ``reading``. ``channels`` converts images to 1 (gray) or 3 (RGB)
    channels. ``width``: how many values a model takes of a sample. Raises DataError, or OSError where the file
    cannot be opened.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file")
    check_regular(path)
    if path.is_dir():
        files = image_files(path)
        if not files:
            raise DataError(f"{path}: no image files in it")
        return stack_images(files, channels, reading.fit, width), [str(file) for file in files]
    suffix = path.suffix.lower()
    if suffix in SUFFIXES | HEIC:
        return stack_images([path], channels, reading.fit, width), [str(path)]
    if suffix in TABLES:
        x = read_table(path, reading, width, labelled=False).x
    elif suffix == ".parquet":
        x = read_columns(read_parquet(path), str(path), reading, width, labelled=False)[0]
    elif suffix in (".npz", ".npy"):
        arrays = read_arrays(path)
        if "x" not in arrays:
            raise DataError(f"{path}: no array 'x' in it{others_in(path)}")
        x = as_samples(arrays["x"], str(path))
    else:
        raise DataError(f"{path}: not an image, a folder, a .npz, a .npy or a .csv file")
    if x.ndim < 1 or x.size == 0:
        raise DataError(f"{path}: no samples in it")
    return x, Numbered(str(path), len(x))
