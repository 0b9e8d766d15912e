"""What is to be forgotten goes for good: noted before the save, done after it, finished by whoever is next."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file, strict_json
from ssd_edge_runtime.model_file.header import checked_digest
from ssd_edge_runtime.storage import generations, leftovers
from ssd_edge_runtime.storage.atomic import replace_atomically, sync_folder
from ssd_edge_runtime.storage.journal import OWNER_ONLY, journal_path
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import beside, place_of


@dataclass(frozen=True)
class Purge:
    """A purge that was announced."""

    digest: str
    """Of the file that was to take its place first: what it replaced, and all before, is to go."""
    request: dict[str, Any]
    """Who asked for what, as JSON, so that asking for the same again finishes it."""
    report: dict[str, Any]
    """What that is to be told, as JSON."""


def note_path(path: str | os.PathLike[str]) -> Path:
    """``model.onnx.purging`` beside ``model.onnx``, from the announcement to the end of a purge."""
    return beside(path, "purging")


def announce(path: str | os.PathLike[str], purge: Purge) -> None:
    """Note, before the file of ``purge.digest`` takes its place at ``path``, that what was there is to go then.

    The caller holds the lock. Raises OSError.
    """
    document = {"digest": purge.digest, "request": purge.request, "report": purge.report}
    data = strict_json.dumps(document, "a purge")
    replace_atomically(note_path(path), data, mode=OWNER_ONLY, like=place_of(path))


def pending(path: str | os.PathLike[str]) -> Purge | None:
    """The purge that was announced and is not finished; None also where the save that it waits for never was.

    Raises OSError.
    """
    try:
        section = strict_json.Section(strict_json.loads(read_file(note_path(path)), "a purge"), "a purge")
        purge = Purge(section.text("digest"), section.take("request"), section.take("report"))
        place = place_of(path)
        return purge if place.exists() and checked_digest(read_file(place)) == purge.digest else None
    except (FileNotFoundError, EdgeModelError):  # no note, none of ours, or not the file that it waits for
        return None


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
        journal_path(place).unlink(missing_ok=True)
        return _drop(place)


def finish(path: str | os.PathLike[str], *, journal: bool = True) -> None:
    """Finish a purge that was cut off, before anything else is done with the file; the caller holds the lock.

    ``journal``: whether one that is there can only be of before. Raises OSError.
    """
    place = place_of(path)
    if pending(place) is None:
        return
    if journal:
        journal_path(place).unlink(missing_ok=True)
    _drop(place)


def give_up(path: str | os.PathLike[str]) -> None:
    """Drop a note that waits for another file than the one that has just taken its place."""
    with suppress(OSError):
        if pending(path) is None:
            note_path(path).unlink(missing_ok=True)


def _drop(place: Path) -> int:
    count = len(generations.stored_files(place))
    generations.prune(place, 0)
    sync_folder(place.parent)
    if note_path(place).exists():
        note_path(place).unlink()
        with suppress(OSError):  # should the note come back after a power cut, it will find all of it done
            sync_folder(place.parent)
    return count
