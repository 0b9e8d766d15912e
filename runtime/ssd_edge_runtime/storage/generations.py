"""Earlier generations of a model file: ``model.onnx.generations/00000003-0123456789abcdef.onnx``."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import read_header
from ssd_edge_runtime.storage.atomic import sync_folder, write_synced

NAME = re.compile(r"(\d{8,19})-([0-9a-f]{16})\.onnx")
DIGEST_LETTERS = 16


@dataclass(frozen=True)
class Generation:
    """One saved state of a model file."""

    number: int
    """The model's ``generation``: how many times it had been saved."""
    digest: str
    parent: str | None
    """Digest of the file that this one was learned from."""
    time: float
    """When it was written, seconds since 1970, by the clock of that moment."""
    samples: int
    classes: list[str]
    file_bytes: int
    current: bool
    """Whether it is the file itself rather than an earlier generation of it."""
    path: Path
    problem: str | None = None
    """What is wrong with it, if anything; a damaged generation cannot be rolled back to."""


def folder_of(path: Path) -> Path:
    """Where the earlier generations of ``path`` stand."""
    return path.with_name(f"{path.name}.generations")


def stored_files(path: Path) -> list[tuple[int, Path]]:
    """Number and path of each earlier generation, the oldest first; other files in the folder are not ours."""
    folder, found = folder_of(path), []
    if folder.is_dir():
        for entry in folder.iterdir():
            match = NAME.fullmatch(entry.name)
            if match:
                found.append((int(match[1]), entry))
    return sorted(found)


def examine(path: Path, current: bool, number: int) -> Generation:
    """Read a generation, check its digest and manifest; ``number`` stands in where these cannot be read."""
    data, time = read_file(path), path.stat().st_mtime
    try:
        header = read_header(data)
    except EdgeModelError as error:
        return Generation(number, "", None, time, 0, [], len(data), current, path, str(error))
    known = header.manifest
    return Generation(
        number=known.generation,
        digest=header.digest,
        parent=known.parent,
        time=time,
        samples=known.samples_seen,
        classes=known.classes,
        file_bytes=len(data),
        current=current,
        path=path,
    )


def keep(path: Path, data: bytes) -> None:
    """Add the current file at ``path``, whose bytes are ``data``, to the earlier generations.

    A second name for the same bytes where the filesystem has that, else a copy. A file that is not ours, or is
    damaged, is no generation.
    """
    try:
        header = read_header(data)
    except EdgeModelError:
        return
    folder = folder_of(path)
    target = folder / f"{header.manifest.generation:08d}-{header.digest[:DIGEST_LETTERS]}.onnx"
    if not folder.is_dir():
        folder.mkdir()
        sync_folder(path.parent)
    if target.exists():
        return
    try:
        os.link(path, target)
    except OSError:
        _copy(target, data)
    sync_folder(folder)


def _copy(target: Path, data: bytes) -> None:
    temporary = target.with_suffix(".copy")
    temporary.unlink(missing_ok=True)
    write_synced(temporary, data, None)
    temporary.replace(target)


def prune(path: Path, keep_newest: int) -> None:
    """Drop all but the newest ``keep_newest`` earlier generations; 0 drops the folder too."""
    files = stored_files(path)
    for _, entry in files[: max(0, len(files) - keep_newest)]:
        entry.unlink()
    folder = folder_of(path)
    if keep_newest == 0 and folder.is_dir():
        for leftover in folder.glob("*.copy"):
            leftover.unlink()
        sync_folder(folder)
        with suppress(OSError):
            folder.rmdir()
        sync_folder(path.parent)


def make_room(path: Path, needed: int) -> bool:
    """Drop the oldest earlier generation if the filesystem could then come to have ``needed`` bytes free."""
    files = stored_files(path)
    sizes = sum(entry.stat().st_size for _, entry in files)
    if not files or shutil.disk_usage(path.parent).free + sizes < needed:
        return False
    files[0][1].unlink()
    return True
