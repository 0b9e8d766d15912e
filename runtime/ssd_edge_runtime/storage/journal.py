"""A file that grows record by record; each is checked and on storage before the next is written."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import IO

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.files import open_regular
from ssd_edge_runtime.storage.atomic import O_BINARY, replace_atomically, sync_folder, write_all
from ssd_edge_runtime.storage.places import beside
from ssd_edge_runtime.storage.seals import SEAL, UNSEALED, Seal

MAGIC = b"ssd-edge journal 1\n"
SEALED = b"ssd-edge journal 1 sealed\n"
"""How one begins whose records are signed."""
LENGTH = 8
CHECK = 32
OWNER_ONLY = 0o600
PARENT_LETTERS = 12
"""First digits of a digest, in the name of a journal that was set aside."""


def journal_path(target: Path) -> Path:
    """``model.onnx.learning`` beside ``model.onnx``: what is being learned for it."""
    return beside(target, "learning")


def aside_path(target: Path, parent: str) -> Path:
    """A free name for the journal of ``target``; ``parent``: digest of the file that it began from."""
    journal = journal_path(target)
    stem = f"{journal.name}-{parent[:PARENT_LETTERS]}"
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    return next(path for path in map(journal.with_name, names) if not os.path.lexists(path))


def remove_journals(target: Path) -> None:
    """Delete the journal beside ``target``, and those of it that were set aside. Raises OSError."""
    journal = journal_path(target)
    ours = re.compile(rf"{re.escape(journal.name)}(-[0-9a-f]{{{PARENT_LETTERS}}}(-[0-9]+)?)?")
    for path in journal.parent.iterdir():
        if ours.fullmatch(path.name) and (path.is_symlink() or not path.is_dir()):
            path.unlink(missing_ok=True)


class Journal:
    """Records in the order written, as many as are whole.

    A record is its length (8 bytes, little endian), the sha256 of the check before it and its payload, and the
    payload. Where a ``seal`` signs, 64 bytes of signature stand before the payload. What a cut-off write left
    behind the last whole record is dropped by the next one.
    """

    def __init__(self, path: Path, seal: Seal = UNSEALED, *, sealed: bool = False) -> None:
        self.path = path
        self._seal, self._sealed = seal, sealed
        self._places: list[tuple[int, int, bytes]] = []
        """Where the payload of each record begins, its length and its check."""
        self._start = SEALED if sealed else MAGIC
        self._head = LENGTH + CHECK + (SEAL if sealed else 0)

    @property
    def end(self) -> int:
        """Bytes up to the end of the last whole record."""
        return sum(self._places[-1][:2]) if self._places else len(self._start)

    @property
    def _check(self) -> bytes:
        return self._places[-1][2] if self._places else self._start

    @classmethod
    def create(cls, path: Path, *payloads: bytes, seal: Seal = UNSEALED) -> Journal:
        """A journal of these records, in the place of what is there; atomic. Raises OSError."""
        journal = cls(path, seal, sealed=seal.sign_with is not None)
        data = journal._start
        for payload in payloads:
            check = journal._next_check(payload)
            data += journal._framed(check, payload)
            journal._wrote(check, payload)
        replace_atomically(path, data, mode=OWNER_ONLY, like=path.with_suffix(""))
        return journal

    @classmethod
    def open(cls, path: Path, seal: Seal = UNSEALED) -> Journal:
        """The journal at ``path`` with every record checked; one record is held in memory at a time.

        Raises EdgeModelError if it is none of ours, or not signed by a key that ``seal`` trusts, OSError if it
        cannot be read.
        """
        with open_regular(path, EdgeModelError) as stream:
            start = stream.readline(len(SEALED))
            if start not in (MAGIC, SEALED):
                raise EdgeModelError(f"{path} is no journal of this version: remove it if it is not needed")
            journal = cls(path, seal, sealed=start == SEALED)
            journal._require(journal._sealed or not seal.trusted)
            journal._read(stream, os.fstat(stream.fileno()).st_size)
        return journal

    def _read(self, stream: IO[bytes], size: int) -> None:
        """Go through the records of a file of ``size`` bytes, of which there may be very many small ones."""
        head_bytes = self._head
        while len(head := stream.read(head_bytes)) == head_bytes:
            length, check = int.from_bytes(head[:LENGTH], "little"), head[LENGTH : LENGTH + CHECK]
            if length > size - self.end - head_bytes:
                break
            payload = stream.read(length)
            if hashlib.sha256(self._check + payload).digest() != check:
                break
            if self._seal.trusted:
                self._require(self._seal.holds(check, head[LENGTH + CHECK :]))
            self._wrote(check, payload)

    def _require(self, trusted: bool) -> None:
        EdgeModelError.unless(
            trusted, f"{self.path} is not signed by a trusted key: delete it, or start over with --discard"
        )

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> bytes:
        """The payload of a record. Raises EdgeModelError if the file has changed since it was opened."""
        start, length, _ = self._places[index]
        with self.path.open("rb") as stream:
            stream.seek(start)
            payload = stream.read(length)
        if len(payload) != length:
            raise EdgeModelError(f"{self.path} was changed by somebody else")
        return payload

    def append(self, payload: bytes, *, sync: bool = True) -> None:
        """Add a record; on storage once this returns. Raises OSError, and what was there stays.

        Without ``sync`` it outlives the process once this returns, and a power cut after the next :meth:`flush`.
        """
        check = self._next_check(payload)
        data = self._framed(check, payload)
        descriptor = os.open(self.path, os.O_WRONLY | O_BINARY)
        try:
            os.ftruncate(descriptor, self.end)
            os.lseek(descriptor, self.end, os.SEEK_SET)
            try:
                write_all(descriptor, data)
                if sync:
                    os.fsync(descriptor)
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(descriptor, self.end)
                raise
        finally:
            os.close(descriptor)
        self._wrote(check, payload)

    def flush(self) -> None:
        """Put every record on storage. Raises OSError."""
        descriptor = os.open(self.path, os.O_RDWR | O_BINARY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """Delete the file. Raises OSError."""
        self.path.unlink(missing_ok=True)
        sync_folder(self.path.parent)

    def _next_check(self, payload: bytes) -> bytes:
        return hashlib.sha256(self._check + payload).digest()

    def _wrote(self, check: bytes, payload: bytes) -> None:
        self._places.append((self.end + self._head, len(payload), check))

    def _framed(self, check: bytes, payload: bytes) -> bytes:
        signature = self._seal.sign(check) if self._sealed else b""
        return len(payload).to_bytes(LENGTH, "little") + check + signature + payload
