"""What was to be forgotten for good is gone, sooner or later, whatever failed in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from saved import current, file_of, numbers, save_several

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import generations, intents, signing
from ssd_edge_runtime.storage.intents import Intent
from ssd_edge_runtime.storage.journal import Journal, aside_path, journal_path

MakeState = Callable[..., ModelState]


@pytest.fixture
def model(make_state: MakeState, path: Path) -> Path:
    save_several(path, make_state(), 3)
    return path


def announce(path: Path, data: bytes) -> None:
    intents.announce(path, Intent(model_file.digest_of(data), {"forget": ["bag"]}, {"unlearned": 0}, purge=True))


@pytest.fixture
def cut_off(make_state: MakeState, model: Path) -> Path:
    """A model saved so that its generations were to go, which they did not."""
    data = file_of(make_state(), 4)
    announce(model, data)
    storage.save(model, data)
    assert numbers(model) == [4, 3, 2, 1]
    return model


def test_purge_leaves_nothing_and_may_be_called_again(model: Path) -> None:
    Journal.create(journal_path(model), b"a lesson")
    assert [storage.purge(model) for _ in range(2)] == [2, 0]
    assert numbers(model) == [3]
    assert {entry.name for entry in model.parent.iterdir()} == {"model.onnx", "model.onnx.lock"}


def test_purge_takes_journals_that_were_set_aside_and_nobodys_else(model: Path) -> None:
    Journal.create(journal_path(model), b"a lesson")
    for _ in range(2):
        journal_path(model).rename(aside_path(model, "0123456789abcdef"))
        Journal.create(journal_path(model), b"a lesson")
    ours = ["model.onnx.learning", "model.onnx.learning-0123456789ab", "model.onnx.learning-0123456789ab-2"]
    theirs = ["model.onnx.learning-notes.txt", "model.onnx.learning-0123456789abc", "other.onnx.learning"]
    for name in theirs:
        model.with_name(name).write_text("mine")
    model.with_name("model.onnx.learning-ffffffffffff").mkdir()
    assert all(model.with_name(name).is_file() for name in ours)
    storage.purge(model)
    assert {entry.name for entry in model.parent.iterdir()} == {
        *("model.onnx", "model.onnx.lock", "model.onnx.learning-ffffffffffff"),
        *theirs,
    }


def test_signatures_go_with_what_they_are_of(make_state: MakeState, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    signing.generate(tmp_path / "key")
    announce_signed = signing.signer(model, tmp_path / "key")

    def signed() -> list[str]:
        return [line.split()[0] for line in signing.signature_path(model).read_text().splitlines()]

    for number in (4, 5, 6):
        data = file_of(make_state(), number)
        announce_signed(model_file.digest_of(data))
        storage.save(model, data, keep=1)
    assert signed() == [entry.digest for entry in reversed(storage.history(model))]
    storage.purge(model)
    assert signed() == [model_file.digest_of(model.read_bytes())]


def test_the_next_to_come_finishes_a_purge(make_state: MakeState, cut_off: Path) -> None:
    storage.save(cut_off, file_of(make_state(), 5))
    assert numbers(cut_off) == [5, 4]
    assert not intents.note_path(cut_off).exists()


def test_nothing_comes_back_that_was_to_be_purged(cut_off: Path) -> None:
    with pytest.raises(EdgeModelError, match="cannot go back to an earlier generation: there are none"):
        storage.rollback(cut_off)
    assert current(cut_off) == 4
    assert not generations.folder_of(cut_off).exists()


def test_a_purge_waits_for_its_own_file(make_state: MakeState, model: Path) -> None:
    """The save that it was announced for failed, and something else was saved."""
    announce(model, file_of(make_state(), 9))
    assert intents.pending(model) is None
    assert storage.rollback(model).number == 2
    storage.save(model, file_of(make_state(), 4))
    assert numbers(model) == [4, 3, 2, 1]
    assert not intents.note_path(model).exists()


def test_a_purge_tells_what_was_asked(cut_off: Path) -> None:
    assert intents.note_path(cut_off).stat().st_mode & 0o777 == 0o600
    found = intents.pending(cut_off)
    assert found is not None
    assert (found.request, found.report) == ({"forget": ["bag"]}, {"unlearned": 0})


@pytest.mark.parametrize(
    "note", [b"", b"{}", b'{"digest": 1}', b"\xff" * 100, b'{"digest":"x","request":1,"report":2,"purge":3}']
)
def test_a_note_that_is_none_of_ours_counts_for_nothing(make_state: MakeState, model: Path, note: bytes) -> None:
    intents.note_path(model).write_bytes(note)
    storage.rollback(model)
    storage.save(model, file_of(make_state(), 4))
    assert numbers(model) == [4, 3, 2, 1]
    assert not intents.note_path(model).exists()


def test_a_damaged_file_keeps_its_generations(cut_off: Path) -> None:
    cut_off.write_bytes(cut_off.read_bytes()[:-1] + b"\xff")
    with pytest.raises(EdgeModelError, match="digest mismatch"):
        storage.purge(cut_off)
    assert storage.rollback(cut_off).number == 3


def test_a_link_has_nothing_beside_it(make_state: MakeState, model: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "latest.onnx"
    link.parent.mkdir()
    link.symlink_to(model)
    Journal.create(journal_path(link), b"a lesson")
    announce(link, file_of(make_state(), 4))
    storage.save(link, file_of(make_state(), 4))
    assert journal_path(model).exists()
    assert numbers(link) == [4, 3, 2, 1]
    assert storage.purge(link) == 3
    assert list(link.parent.iterdir()) == [link]
    assert {entry.name for entry in model.parent.iterdir() if entry.is_file()} == {"model.onnx", "model.onnx.lock"}
