"""Folders that are whole or absent, and folders for what nobody needs afterwards."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ssd_edge_runtime.storage import leftovers
from ssd_edge_runtime.storage.atomic import create_folder, sync_folder
from ssd_edge_runtime.storage.exchange import exchanged
from ssd_edge_runtime.storage.ownership import kept_at
from ssd_edge_runtime.storage.places import place_of

SCRATCH = "ssd-edge"
"""Scratch folders are temporary ones of this name, in the system's folder for such."""


@contextmanager
def replacing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """An empty folder that takes the place of ``path`` when the block ends; if that raises, nothing has changed.

    What killed writers of ``path`` left is removed first. The two change places in one step; where the system has
    none, a kill between two renames leaves the old folder to :func:`bring_back`.
    """
    place = place_of(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    bring_back(place)
    shutil.rmtree(_aside(place), ignore_errors=True)
    leftovers.remove(place)
    with leftovers.temporary(place) as fresh:
        try:
            create_folder(fresh, kept_at(place).for_folder())
            yield fresh
            old = _swap(place, fresh)
            sync_folder(place.parent)
            if old is not None:
                shutil.rmtree(old, ignore_errors=True)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def bring_back(path: str | os.PathLike[str]) -> None:
    """Where a killed writer had moved the folder ``path`` aside, and nothing came in its place, move it back."""
    place = place_of(path)
    if not os.path.lexists(place):
        with suppress(OSError):
            _aside(place).rename(place)


def _aside(place: Path) -> Path:
    return place.with_name(f".{place.name}.ssd-edge-before")


def _swap(place: Path, fresh: Path) -> Path | None:
    """Let ``fresh`` stand at ``place``; returns where what stood there is now."""
    if not place.exists():
        fresh.rename(place)
        return None
    if exchanged(place, fresh):
        return fresh
    aside = _aside(place)
    place.rename(aside)
    try:
        fresh.rename(place)
    except BaseException:
        aside.rename(place)
        raise
    return aside


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
