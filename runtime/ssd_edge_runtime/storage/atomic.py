"""Files that are whole or absent: written beside their place, flushed to storage, renamed into it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".tmp"
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


def write_synced(path: Path, data: bytes, mode: int | None) -> None:
    """Create ``path``, which must not exist, and flush it to storage; nothing stays if that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_BINARY, 0o666 if mode is None else mode)
    try:
        try:
            write_all(descriptor, data)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def replace_atomically(path: Path, data: bytes, mode: int | None = None) -> None:
    """Make ``path`` hold ``data``: a reader, and whoever comes after a power cut, sees the old or the new bytes.

    The caller holds the lock of ``path``. An existing file's permissions are kept unless ``mode`` is given.

    :raises OSError: if the storage fails; before the rename, ``path`` is untouched.
    """
    temporary = temporary_name(path)
    if mode is None and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    write_synced(temporary, data, mode)
    _move_into_place(temporary, path)


def bring_back(path: Path, source: Path) -> None:
    """Make ``path`` the same file as ``source``, which lies in storage already: as safe, and it needs no room.

    Where the filesystem has no second names for a file, the bytes are copied.
    """
    temporary = temporary_name(path)
    try:
        os.link(source, temporary)
    except OSError:
        replace_atomically(path, source.read_bytes())
        return
    _move_into_place(temporary, path)


def temporary_name(path: Path) -> Path:
    """Where this process prepares ``path``: in the same folder, so that a rename suffices."""
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def _move_into_place(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def remove_leftovers(path: Path) -> None:
    """Delete temporary files of ``path`` that killed processes left; the caller holds the lock of ``path``."""
    for leftover in path.parent.glob(f".{glob_escape(path.name)}.*{TEMPORARY}"):
        with suppress(OSError):
            leftover.unlink()


def glob_escape(name: str) -> str:
    """A pattern that matches ``name`` and nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
