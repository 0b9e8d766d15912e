"""Keep what was learned: atomic saves, earlier generations, one writer, no lost updates."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import stored_digest
from ssd_edge_runtime.storage import generations, intents, leftovers, purging, signing
from ssd_edge_runtime.storage.atomic import FULL, replace_atomically, sync_folder
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import place_of

KEEP = 3
"""Earlier generations kept beside the file."""
_failed: dict[Path, str] = {}
"""Digest of this process's last save, if it failed: the file may hold it although nobody was told so."""


def save(
    path: str | os.PathLike[str],
    data: bytes,
    *,
    expected_digest: str | None = None,
    keep: int = KEEP,
    keep_replaced: bool = True,
    lock_timeout: float = 10.0,
) -> str:
    """Replace the file at ``path`` by ``data``, atomically and durably; returns the digest of ``data``.

    The file it replaces becomes an earlier generation; of those the newest ``keep`` stay, fewer where the disk is
    full, none with 0. Saving again what is already there only flushes it.

    :param expected_digest: digest of the file that ``data`` was learned from; None replaces whatever is there.
    :param keep_replaced: whether the replaced file becomes a generation; not where it is a checkpoint on the way
        to ``data``, which would push out the generations that somebody may want back.
    :param lock_timeout: seconds to wait for another writer.
    :raises EdgeModelError: if ``data`` is no model file, another process writes, or the file is no longer the one
        expected.
    :raises OSError: if the storage fails; the file is then what it was, or already the new one.
    """
    if keep < 0:
        raise EdgeModelError(f"keep must be 0 or more, got {keep}")
    digest, place = stored_digest(data), place_of(path)
    with locked(place, lock_timeout):
        leftovers.remove_beside(place)
        purging.finish(place, journal=False)  # one that is there now is of what is being saved
        current = read_file(place) if place.exists() else None
        again = expected_digest in (None, digest) or _failed.get(place) == digest
        if current == data and again:
            sync_folder(place.parent)
        else:
            if current is not None:
                _check_expected(place, current, expected_digest)
                if keep and keep_replaced:
                    _keep_if_room(place, current)
            _failed[place] = digest
            _replace(place, data)
        _failed.pop(place, None)
        intents.give_up(place)
        _prune(place, keep)
    return digest


def _check_expected(place: Path, current: bytes, expected: str | None) -> None:
    """Refuse to overwrite what somebody else has saved in the meantime."""
    if expected is None:
        return
    try:
        found = stored_digest(current)
    except EdgeModelError as error:
        found = str(error)
    if found not in (expected, _failed.get(place)):
        raise EdgeModelError(
            f"{place} changed since it was loaded ({expected[:12]}... then, {found[:12]}... now): save under "
            "another name and merge the two with ssd-edge merge, or load it again"
        )


def _keep_if_room(place: Path, current: bytes) -> None:
    """Keep the current file as a generation, older ones making room; on a disk too full even for that, do not."""
    while True:
        try:
            generations.keep(place, current)
            return
        except OSError as error:
            if error.errno not in FULL:
                raise
            if not generations.make_room(place, len(current)):
                return


def _replace(place: Path, data: bytes) -> None:
    """Write the file; on a full disk make room by dropping the oldest earlier generations, if that can help."""
    while True:
        try:
            replace_atomically(place, data)
            return
        except OSError as error:
            if error.errno not in FULL or not generations.make_room(place, len(data)):
                raise


def _prune(place: Path, keep: int) -> None:
    if keep == 0:
        generations.prune(place, 0)
        signing.prune(place)
        return
    # The new file is safe already; a generation too many is no reason to say that saving failed.
    with suppress(OSError):
        generations.prune(place, keep)
        signing.prune(place)
