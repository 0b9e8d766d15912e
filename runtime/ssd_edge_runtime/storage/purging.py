"""What is to be forgotten goes for good: noted before the save, done after it, finished by whoever is next."""

from __future__ import annotations

import os
from pathlib import Path

from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import checked_digest
from ssd_edge_runtime.storage import generations, intents, leftovers, signing
from ssd_edge_runtime.storage.atomic import sync_folder
from ssd_edge_runtime.storage.journal import remove_journals
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import place_of


def purge(path: str | os.PathLike[str], *, lock_timeout: float = 10.0) -> int:
    """Drop every earlier generation of the file at ``path``, so that none still knows what was forgotten.

    A journal of learning that was cut off goes too, as it holds codes of samples. Called again after any failure,
    it drops what is left. Returns how many generations it dropped.

    :raises EdgeModelError: if the file itself is damaged, as then the generations are all that there is.
    :raises OSError: if one cannot be removed.
    """
    place = place_of(path)
    with locked(place, lock_timeout):
        checked_digest(read_file(place))
        leftovers.remove_beside(place)
        remove_journals(place)
        count = len(generations.stored_files(place))
        _drop(place)
        return count


def finish(path: str | os.PathLike[str], *, journal: bool = True) -> None:
    """Finish a change that was cut off, before another is made; the caller holds the lock.

    ``journal``: whether one that is there can only be of before. Raises OSError.
    """
    place = place_of(path)
    begun = intents.pending(place)
    if begun is None:
        return
    if not begun.purge:
        intents.conclude(place)
        return
    if journal:
        remove_journals(place)
    _drop(place)


def _drop(place: Path) -> None:
    generations.prune(place, 0)
    signing.prune(place)
    sync_folder(place.parent)
    intents.conclude(place)
