"""One writer per file: a lock beside it that a dead process cannot hold. Readers take none."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError


@dataclass
class _Held:
    """The lock of one path in this process: threads take turns, one thread may take it again."""

    turn: threading.RLock = field(default_factory=threading.RLock)
    depth: int = 0
    file: Any = None


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
    place = Path(path).resolve()
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


def _acquire(place: Path, remaining: float, timeout: float) -> Any:
    from filelock import FileLock, Timeout

    if not place.parent.is_dir():
        raise FileNotFoundError(2, "No such folder", str(place.parent))
    lock = FileLock(lock_path(place), thread_local=False)
    try:
        lock.acquire(timeout=max(0.0, remaining), poll_interval=0.02)
    except Timeout:
        raise EdgeModelError(_busy(place, _holder(place), timeout)) from None
    # Only for the message above: the lock itself is the operating system's.
    with suppress(OSError):
        _holder_path(place).write_text(str(os.getpid()))
    return lock


def _release(place: Path, held: _Held) -> None:
    with suppress(OSError):
        _holder_path(place).unlink()
    lock, held.file = held.file, None
    lock.release()


def _busy(place: Path, holder: str, timeout: float) -> str:
    return f"{place} is being written by {holder} (waited {timeout:g} s): wait for it, or raise --lock-timeout"
