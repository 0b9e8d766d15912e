"""Where a model file may be written."""

from __future__ import annotations

from pathlib import Path

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import DataError, EdgeModelError


def check_place(place: Path) -> None:
    """Raise DataError unless a model may be written at ``place``."""
    if place.is_dir():
        raise DataError(f"{place}: is a folder; name a file such as {place / 'model.onnx'}")
    if not place.parent.is_dir():
        raise DataError(f"{place.parent}: no such folder")
    if place.exists():
        try:
            model_file.digest_of(model_file.read_file(place))
        except EdgeModelError as error:
            raise DataError(f"{place}: exists and is not a model of SSD-Edge; choose another name") from error
