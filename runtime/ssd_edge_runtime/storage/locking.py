"""One writer per file: a lock beside it that a dead process cannot hold. Readers take none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.storage import filelocks
from ssd_edge_runtime.storage.filelocks import Lock
from ssd_edge_runtime.storage.ownership import Ownership, kept_at
from ssd_edge_runtime.storage.places import place_of

OWNER = 0o600
"""A model that is read-only even for its owner is written by him all the same: in one rename."""


@dataclass
class _Held:
    """The lock of one path in this process: threads take turns, one thread may take it again."""

    turn: threading.RLock = field(default_factory=threading.RLock)
    depth: int = 0
    file: Lock | None = None


_held: dict[Path, _Held] = {}
_held_guard = threading.Lock()


def lock_path(path: Path) -> Path:
    """``model.onnx.lock`` beside ``model.onnx``; it stays when nobody holds it."""
    return path.with_name(f"{path.name}.lock")


def _holder_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.lock.pid")


def _holder(path: Path) -> str:
    """Who wrote that he holds the lock, for a message."""
    with suppress(OSError, ValueError):
        return f"process {int(_holder_path(path).read_text()[:20])}"
    return "another process"


@contextmanager
def locked(path: str | os.PathLike[str], timeout: float = 10.0) -> Iterator[None]:
    """Hold the writer's lock of the model file at ``path``; the same thread may enter again.

    The operating system drops the lock when its process dies, however it dies.

    :param timeout: seconds to wait for another writer.
    :raises EdgeModelError: after that, naming the process that holds it.
    :raises OSError: if the folder is missing or cannot be written.
    """
    place = place_of(path)
    with _held_guard:
        held = _held.setdefault(place, _Held())
    started = time.monotonic()
    if not held.turn.acquire(timeout=max(0.0, timeout)):
        raise EdgeModelError(_busy(place, f"another thread of process {os.getpid()}", timeout))
    try:
        if held.depth == 0:
            held.file = _acquire(place, timeout - (time.monotonic() - started), timeout)
        held.depth += 1
        try:
            yield
        finally:
            held.depth -= 1
            if held.depth == 0:
                _release(place, held)
    finally:
        held.turn.release()


def _acquire(place: Path, remaining: float, timeout: float) -> Lock:
    if not place.parent.is_dir():
        raise FileNotFoundError(2, "No such folder", str(place.parent))
    lock = filelocks.acquire(lock_path(place), _for_lock(place), max(0.0, remaining))
    if lock is None:
        raise EdgeModelError(_busy(place, _holder(place), timeout))
    # Only for the message above: the lock itself is the operating system's.
    with suppress(OSError):
        _name_holder(_holder_path(place), _for_lock(place))
    return lock


def _name_holder(path: Path, ownership: Ownership) -> None:
    """In a new file: whatever stood there, a link even, is not written into."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        ownership.give(descriptor)
        os.write(descriptor, b"%d" % os.getpid())
    finally:
        os.close(descriptor)


def _for_lock(place: Path) -> Ownership:
    """Who may write the model may lock it, whoever made the lock."""
    ownership = kept_at(place)
    return ownership if ownership.mode is None else replace(ownership, mode=ownership.mode | OWNER)


def _release(place: Path, held: _Held) -> None:
    """Nothing to release in a child that was forked meanwhile."""
    lock, held.file = held.file, None
    if lock is None:
        return
    with suppress(OSError):
        _holder_path(place).unlink()
    with suppress(OSError):
        if not place.exists() and os.name != "nt":
            lock_path(place).unlink()  # there came to be nothing that it could stand beside
    lock.release()


def _leave_to_parent() -> None:
    """A child forked inside a lock does not hold it: it waits like everybody else."""
    global _held_guard
    for held in _held.values():
        lock, held.file = held.file, None
        if isinstance(lock, filelocks.Descriptor):
            lock.release()
    _held.clear()
    _held_guard = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _busy(place: Path, holder: str, timeout: float) -> str:
    return f"{place} is being written by {holder} (waited {timeout:g} s): wait for it, or raise --lock-timeout"
