"""The journal: whole records or none, whatever the storage or a stranger does to it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ssd_edge_runtime import EdgeModelError
from ssd_edge_runtime.storage.journal import MAGIC, Journal

RECORDS = (b"first", b"", b"x" * 5000)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    made = Journal.create(tmp_path / "model.onnx.learning", RECORDS[0])
    for record in RECORDS[1:]:
        made.append(record)
    return made


def contents(path: Path) -> list[bytes]:
    journal = Journal.open(path)
    return [journal[index] for index in range(len(journal))]


def test_records_come_back(journal: Journal) -> None:
    assert contents(journal.path) == list(RECORDS)
    again = Journal.open(journal.path)
    again.append(b"more")
    assert contents(journal.path) == [*RECORDS, b"more"]


def test_cut_anywhere_it_keeps_what_is_whole(journal: Journal) -> None:
    data = journal.path.read_bytes()
    for length in range(len(MAGIC), len(data), 37):
        journal.path.write_bytes(data[:length])
        kept = contents(journal.path)
        assert kept == list(RECORDS[: len(kept)])
        Journal.open(journal.path).append(b"after")
        assert contents(journal.path) == [*kept, b"after"]


def test_a_changed_byte_ends_it_there(journal: Journal) -> None:
    data = journal.path.read_bytes()
    for place in range(len(MAGIC), len(data), 41):
        journal.path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        kept = contents(journal.path)
        assert kept == list(RECORDS[: len(kept)])
        assert len(kept) < len(RECORDS)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.ENODEV])
@pytest.mark.parametrize("name", ["write", "fsync"])
def test_storage_that_fails_costs_only_the_new_record(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    real = os.write

    def failing(descriptor: int, data: bytes = b"") -> int:
        if name == "write":
            real(descriptor, data[: len(data) // 2])
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, failing)
        with pytest.raises(OSError, match=r"."):
            journal.append(b"lost")
    assert contents(journal.path) == list(RECORDS)
    journal.append(b"kept")
    assert contents(journal.path) == [*RECORDS, b"kept"]


def test_other_files_are_no_journals(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx.learning"
    path.write_bytes(b"something else")
    with pytest.raises(EdgeModelError, match="no journal of this version"):
        Journal.open(path)
