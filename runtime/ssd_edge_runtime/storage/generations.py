"""Earlier generations of a model file: ``model.onnx.generations/00000003-0123456789abcdef.onnx``."""

from __future__ import annotations

import mmap
import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger import Ledger
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import Damaged, examine_header, read_place
from ssd_edge_runtime.options import MAX_COUNT
from ssd_edge_runtime.storage.atomic import create_folder, linked, replace_atomically, sync_folder
from ssd_edge_runtime.storage.ownership import kept_at

NAME = re.compile(r"([0-9]{8,19})-([0-9a-f]{16})\.onnx")
COPY = re.compile(r"\.[0-9]{8,19}-[0-9a-f]{16}\.onnx\.[0-9]+(-[0-9]+)?\.tmp|[0-9]{8,19}-[0-9a-f]{16}\.copy")
"""A generation that was being copied when its writer was killed; the second form is that of earlier versions."""
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
    previous: str | None = None
    """Digest of the file whose place it took; that is its parent, unless another stood where it was saved."""
    ledger: Ledger = field(default_factory=Ledger)
    """What it tells of its past; the last entry is of what made it."""

    @property
    def letters(self) -> str:
        """The first digits of its digest; of a damaged one, those that it was kept under."""
        match = NAME.fullmatch(self.path.name)
        return self.digest[:DIGEST_LETTERS] or (match[2] if match else "")

    def has(self, digest: str) -> bool:
        """Whether its digest is this one, or begins like it."""
        own = self.digest or self.letters
        return own.startswith(digest[: len(own)])


def folder_of(path: Path) -> Path:
    """Where the earlier generations of ``path`` stand."""
    return path.with_name(f"{path.name}.generations")


def stored_files(path: Path) -> list[tuple[int, Path]]:
    """Number and path of each earlier generation, the oldest first.

    What else is in the folder is not ours: other names, folders, and numbers that no file can have.
    """
    found = []
    for entry in _entries(path):
        match = NAME.fullmatch(entry.name)
        if match and int(match[1]) <= MAX_COUNT and entry.is_file(follow_symlinks=False):
            found.append((int(match[1]), Path(entry.path)))
    return sorted(found)


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder_of(path)) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def examine(path: Path, current: bool, number: int) -> Generation:
    """Read a generation, check its digest and manifest; ``number`` stands in where these cannot be read."""
    data, time = read_file(path), path.stat().st_mtime
    header = examine_header(data)
    if isinstance(header, Damaged):
        return Generation(number, "", None, time, 0, [], len(data), current, path, header.problem, header.previous)
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
        ledger=known.ledger,
        previous=known.replaced or known.parent,
    )


def keep(path: Path, data: bytes) -> None:
    """Add the current file at ``path``, whose bytes are ``data``, to the earlier generations.

    A second name for the same bytes where the filesystem has that, else a copy. A file that is not ours, or is
    damaged, is no generation.
    """
    try:
        place = read_place(data)
    except EdgeModelError:
        return
    folder = folder_of(path)
    target = folder / f"{place.generation:08d}-{place.digest[:DIGEST_LETTERS]}.onnx"
    if not folder.is_dir():
        create_folder(folder, kept_at(path).for_folder())
    if target.exists():
        return
    if linked(path, target):
        sync_folder(folder)
    else:
        replace_atomically(target, data, like=path)


def prune(path: Path, keep_newest: int) -> None:
    """Drop all but ``keep_newest`` earlier generations, those that are wanted most; 0 drops the folder too."""
    for entry in by_worth(path)[keep_newest:]:
        entry.unlink()
    for leftover in _entries(path):
        if COPY.fullmatch(leftover.name):
            Path(leftover.path).unlink()
    folder = folder_of(path)
    if keep_newest == 0 and folder.is_dir():
        sync_folder(folder)
        with suppress(OSError):
            folder.rmdir()
        sync_folder(path.parent)


def make_room(path: Path, needed: int) -> bool:
    """Drop the least wanted earlier generation if the filesystem could then come to have ``needed`` bytes free."""
    files = by_worth(path)
    sizes = sum(entry.stat().st_size for entry in files)
    if not files or shutil.disk_usage(path.parent).free + sizes < needed:
        return False
    files[-1].unlink()
    return True


def by_worth(path: Path) -> list[Path]:
    """Earlier generations: first what ``path`` grew from, the nearest first; then the others, the newest first."""
    entries = [entry for _, entry in reversed(stored_files(path))]
    known = {digest: (entry, previous) for entry in entries for digest, previous in _told(entry)}
    line: list[Path] = []
    for _, at in _told(path) if path.exists() else []:
        while at in known and known[at][0] not in line:
            entry, at = known[at]
            line.append(entry)
    return line + [entry for entry in entries if entry not in line]


def _told(path: Path) -> list[tuple[str, str | None]]:
    """Digest of a file and of the one whose place it took, as it says itself; nothing where it does not."""
    with suppress(EdgeModelError, ValueError), path.open("rb") as stream:
        # Of a large file only the pages that are looked at are read.
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        place = read_place(cast(bytes, data), verify=False)
        return [(place.digest, place.previous)]
    return []
