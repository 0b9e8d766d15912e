"""Writing the file, without losing a model that is there already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.model_file import format as model_format
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import store as storage


def write_model(path: str | Path, state: ModelState, *, learning_state: bool = True) -> Path:
    """Write ``state`` at ``path``, atomically; a model there becomes an earlier generation.

    Raises DataError where there is no such folder, or another kind of file is in the way.
    """
    place = Path(path)
    check_place(place)
    numbered = replace(state, generation=storage.next_generation(place))
    storage.save(place, model_format.to_bytes(numbered, learning_state=learning_state))
    return place


def check_place(place: Path) -> None:
    """Raise DataError unless a model may be written at ``place``."""
    if place.is_dir():
        raise DataError(f"{place}: is a folder; name a file such as {place / 'model.onnx'}")
    if not place.parent.is_dir():
        raise DataError(f"{place.parent}: no such folder")
    if place.exists():
        try:
            model_format.digest_of(model_format.read_file(place))
        except EdgeModelError as error:
            raise DataError(f"{place}: exists and is not a model of SSD-Edge; choose another name") from error
