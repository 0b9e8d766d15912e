"""Folders that are whole or absent, and folders for what nobody needs afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ssd_edge_runtime.storage import leftovers
from ssd_edge_runtime.storage.atomic import create_folder, sync_folder
from ssd_edge_runtime.storage.ownership import kept_at
from ssd_edge_runtime.storage.places import place_of

SCRATCH = "ssd-edge"
"""Scratch folders are temporary ones of this name, in the system's folder for such."""


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder that takes the place of ``path`` when the block ends; if that raises, nothing has changed.

    What killed writers of ``path`` left is removed first. A folder that stands there is moved aside until then.
    """
    place = place_of(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    leftovers.remove(place)
    with leftovers.temporary(place) as fresh:
        try:
            create_folder(fresh, kept_at(place).for_folder())
            yield fresh
            with leftovers.temporary(place) as aside:
                _swap(place, fresh, aside)
                shutil.rmtree(aside, ignore_errors=True)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
    sync_folder(place.parent)


def _swap(place: Path, fresh: Path, aside: Path) -> None:
    if not place.exists():
        fresh.rename(place)
        return
    place.rename(aside)
    try:
        fresh.rename(place)
    except BaseException:
        aside.rename(place)
        raise


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone when the block ends; those of this user's killed processes go with it."""
    usual = Path(tempfile.gettempdir(), SCRATCH)
    leftovers.remove(usual)
    with leftovers.temporary(usual) as folder:
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
