"""Files that are whole or absent: written beside their place, flushed to storage, renamed into it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

from ssd_edge_runtime.storage import leftovers
from ssd_edge_runtime.storage.ownership import Ownership, kept_at
from ssd_edge_runtime.storage.places import place_of

FULL = (errno.ENOSPC, errno.EDQUOT)
O_BINARY = getattr(os, "O_BINARY", 0)
"""Windows would otherwise translate line ends."""


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to storage, so that a rename survives a power cut; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def created(path: Path, ownership: Ownership) -> Iterator[int]:
    """A descriptor of ``path``, which must not exist; flushed to storage at the end, gone if the block raises."""
    # Nobody else may open it before it belongs to whom it should.
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_BINARY, 0o666 if ownership.mode is None else 0o600
    )
    try:
        try:
            ownership.give(descriptor)
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def write_synced(path: Path, data: bytes, mode: int) -> None:
    """Create ``path``, which must not exist, with this mode, and flush it; nothing stays if that fails."""
    with created(path, Ownership(mode=mode)) as descriptor:
        write_all(descriptor, data)


@contextmanager
def replacing(path: Path, *, mode: int | None = None, like: Path | None = None) -> Iterator[int]:
    """A descriptor of what takes the place of ``path`` when the block ends: whole, flushed, in one rename.

    A reader, and whoever comes after a power cut, sees the old or the new bytes. Owner, group and mode stay what
    they were, or are those of ``like`` where that exists; ``mode`` overrides. If the block raises, or the storage
    fails before the rename, ``path`` is untouched.
    """
    ownership = kept_at(path, like)
    if mode is not None:
        ownership = replace(ownership, mode=mode)
    with leftovers.temporary(path) as temporary, _telling_of(path, temporary):
        with created(temporary, ownership) as descriptor:
            yield descriptor
        _move_into_place(temporary, path)


@contextmanager
def _telling_of(path: Path, temporary: Path) -> Iterator[None]:
    """An error about the temporary file is one about what it stands for."""
    try:
        yield
    except OSError as error:
        if error.filename not in (temporary, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def replace_atomically(path: Path, data: bytes, *, mode: int | None = None, like: Path | None = None) -> None:
    """Make ``path`` hold ``data``, as :func:`replacing` does. Raises OSError."""
    with replacing(path, mode=mode, like=like) as descriptor:
        write_all(descriptor, data)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A stream into what takes the place of ``path``, for writers who hold no lock; clears up after killed ones.

    Where ``path`` is no file but a device or a pipe, straight into that.
    """
    if Path(path).exists() and not Path(path).is_file():
        with Path(path).open("wb") as stream:
            yield stream
        return
    place = place_of(path)
    leftovers.remove(place)
    with replacing(place) as descriptor, open(descriptor, "wb", closefd=False) as stream:
        yield stream


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Make ``path`` hold ``text`` in UTF-8, whole or not at all. Raises OSError."""
    with writing(path) as stream:
        stream.write(text.encode())


def bring_back(path: Path, source: Path) -> None:
    """Make ``path`` the same file as ``source``, which lies in storage already: as safe, and it needs no room.

    The bytes are copied where the filesystem has no second names for a file, or where the two do not belong to the
    same user.
    """
    ownership = kept_at(path)
    with leftovers.temporary(path) as temporary:
        if not ownership.holds(source) or not linked(source, temporary):
            with created(temporary, ownership) as descriptor:
                write_all(descriptor, source.read_bytes())
        _move_into_place(temporary, path)


def create_folder(folder: Path, ownership: Ownership) -> None:
    """Make a folder that belongs so, and flush its name to storage. Raises OSError."""
    folder.mkdir()
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            ownership.give(descriptor)
        finally:
            os.close(descriptor)
    sync_folder(folder.parent)


def linked(source: Path, target: Path) -> bool:
    """Give ``source`` a second name, where the filesystem has that."""
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _move_into_place(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)
