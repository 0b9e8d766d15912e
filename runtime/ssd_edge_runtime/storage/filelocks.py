"""The operating system's lock on a file of its own: it goes with its process, however that ends."""

from __future__ import annotations

import errno
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.storage.ownership import Ownership

POLL = 0.02
NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP)
BUSY = (errno.EACCES, errno.EAGAIN)
FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
"""A link is not followed, and a pipe not waited for."""


class Lock(Protocol):
    """A lock that is held."""

    def release(self) -> None:
        """Let the next one have it."""


class Descriptor:
    """A lock by ``flock``; it stands as long as the file is open in any process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Close the file; in a forked child the lock stays the parent's."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):  # closed it is all the same, and what was written is safe by now
                os.close(descriptor)


def acquire(path: Path, ownership: Ownership, timeout: float) -> Lock | None:
    """Lock the file at ``path``, made with ``ownership`` where there is none; None if it stays held by another.

    ``timeout``: seconds to try. Raises EdgeModelError if it is no file that a lock can be on, OSError.
    """
    if os.name == "nt":
        return _by_library(path, timeout, "FileLock")
    until = time.monotonic() + timeout
    while True:
        descriptor = _opened(path, ownership)
        try:
            if _taken(descriptor, path):
                return Descriptor(descriptor)
        except OSError as error:
            os.close(descriptor)
            if error.errno in NO_LOCKS:
                path.unlink()
                return _by_library(path, until - time.monotonic(), "SoftFileLock")
            raise
        os.close(descriptor)
        if time.monotonic() >= until:
            return None
        time.sleep(POLL)


def _opened(path: Path, ownership: Ownership) -> int:
    """A descriptor of the lock file; one that others own need only be read."""
    with suppress(FileExistsError):
        mode = 0o666 if ownership.mode is None else 0o600
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | FLAGS, mode)
        ownership.give(descriptor)
        return descriptor
    if path.is_symlink():
        raise EdgeModelError(f"{path} is a symbolic link, which a lock must not be: remove it")
    try:
        try:
            descriptor = os.open(path, os.O_RDWR | FLAGS)
        except PermissionError:
            descriptor = _opened_to_read(path)
    except FileNotFoundError:  # its last holder has removed it just now
        return _opened(path, ownership)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise EdgeModelError(f"{path} is no regular file, which a lock must be: remove it")
    return descriptor


def _opened_to_read(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | FLAGS)
    except PermissionError:
        raise EdgeModelError(
            f"{path} belongs to another user, who lets nobody read it: remove it, once nothing of that user's is "
            "writing the model"
        ) from None


def _taken(descriptor: int, path: Path) -> bool:
    """Whether the lock is ours now, and still that of ``path``."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found, there = os.fstat(descriptor), path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno in BUSY:
            return False
        raise
    return (found.st_dev, found.st_ino) == (there.st_dev, there.st_ino)


def _by_library(path: Path, timeout: float, kind: str) -> Lock | None:
    import filelock

    lock: filelock.BaseFileLock = getattr(filelock, kind)(path, thread_local=False)
    try:
        lock.acquire(timeout=max(0.0, timeout), poll_interval=POLL)
    except filelock.Timeout:
        return None
    return lock
