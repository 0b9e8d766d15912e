"""Temporary files: how they are called, and what becomes of those that a killed process left behind."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

GRAIN = 2.0
"""Seconds by which the times of a file and of a process may be off."""
_in_use: set[Path] = set()
"""Those that this process is writing."""


@contextmanager
def temporary(path: Path) -> Iterator[Path]:
    """A free name in the folder of ``path``, so that a rename suffices: ``.model.onnx.PID.tmp``."""
    for number in count():
        own = f"{os.getpid()}-{number}" if number else str(os.getpid())
        name = path.with_name(f".{path.name}.{own}.tmp")
        if name not in _in_use and not os.path.lexists(name):
            break
    _in_use.add(name)
    try:
        yield name
    finally:
        _in_use.discard(name)


def remove(path: Path) -> None:
    """Delete what killed processes left of writing ``path``; nothing of other files, nor of a live process."""
    for leftover in _dead(path):
        with suppress(OSError):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover)
            else:
                leftover.unlink()


def remove_beside(model: Path) -> None:
    """The same for a model and all that is written beside it; the caller holds its lock."""
    for name in ("", ".learning", ".intent", ".sig", ".floor"):
        remove(model.with_name(model.name + name))


def _dead(path: Path) -> list[Path]:
    name = re.compile(rf"\.{re.escape(path.name)}\.([1-9][0-9]{{0,9}})(-[0-9]+)?\.tmp")
    found = []
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            match = name.fullmatch(entry.name)
            if match and not _is_written(Path(entry.path), int(match[1])):
                found.append(Path(entry.path))
    return found


def _is_written(leftover: Path, pid: int) -> bool:
    """Whether the process that began it may still be at it, rather than one that has got its number since."""
    import psutil

    if pid == os.getpid():
        return leftover in _in_use
    try:
        process = psutil.Process(pid)
        began, zombie = process.create_time(), process.status() == psutil.STATUS_ZOMBIE
        return not zombie and began <= leftover.lstat().st_mtime + GRAIN
    except psutil.AccessDenied:
        return True
    except (psutil.Error, OSError, OverflowError):
        return False
