"""The journal: whole records or none, whatever the storage or a stranger does to it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import MAGIC, Journal, journal_path

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


@pytest.mark.parametrize("make", [analytic_state, gradient_state])
def test_records_from_a_stranger_are_refused_or_learned(make: object, tmp_path: Path) -> None:
    """Records altered and the checks made to match: each is refused in a line, or leaves a model that works."""
    state = make()  # type: ignore[operator]
    model = EdgeModel(state)
    model.record({})
    record = bytearray(model.partial_fit(*samples(1, 20)).record({"samples": 20}))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        altered = bytearray(record)
        for place in rng.integers(0, len(record), rng.integers(1, 4)):
            altered[place] = rng.integers(256)
        fresh = EdgeModel(state)
        try:
            fresh.replay(bytes(altered))
        except EdgeModelError as error:
            assert "\n" not in str(error)
            refused += 1
            assert model_file.to_bytes(fresh.state) == model_file.to_bytes(state)
        else:
            fresh.predict(samples(2, 3)[0])
            fresh.save(tmp_path / "model.onnx")
    assert refused > 50


def test_a_record_of_a_model_built_otherwise_is_refused() -> None:
    record = EdgeModel(gradient_state(widths=(31,))).record({"samples": 1})
    with pytest.raises(EdgeModelError, match="not of this model"):
        EdgeModel(gradient_state()).replay(record)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff{}",
        records.encode({}, {"a": np.zeros(3, np.uint8)})[:-1],
        records.encode({}, {}) + b"x",
        records.encode({}, {"a": np.zeros(3, np.uint8)}).replace(b'"uint8",3', b'"uint8",9'),
        records.encode({}, {"a": np.zeros(3, np.uint8)}).replace(b'"uint8"', b'"objec"'),
    ],
)
def test_bytes_that_are_no_record(data: bytes) -> None:
    with pytest.raises(EdgeModelError):
        records.decode(data)


def test_a_journal_without_a_beginning_is_damaged(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    assert find(target) is None
    for payload in (records.encode({"kind": "begin"}, {}), records.encode({"kind": "end", "digest": "0"}, {})):
        Journal.create(journal_path(target), payload)
        with pytest.raises(EdgeModelError, match="damaged from its first record on"):
            find(target)
