"""Checkpoints of learning, in a journal beside the file."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from interrupts import Injection
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.checkpoints import Checkpoints, Unfinished, find
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path


def test_a_journal_without_a_beginning_is_damaged(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    assert find(target) is None
    for payload in (records.encode({"kind": "begin"}, {}), records.encode({"kind": "end", "digest": "0"}, {})):
        Journal.create(journal_path(target), payload)
        with pytest.raises(EdgeModelError, match="damaged from its first record on"):
            find(target)


def test_a_journal_that_a_stranger_wrote_is_read_or_refused(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    head = {"kind": "begin", "plan": {}, "parent": "0" * 64}

    def found(*fields: dict[str, Any]) -> Unfinished | None:
        Journal.create(journal_path(target), *(records.encode(each, {}) for each in fields))
        return find(target)

    for junk in (1, [1], {"a": 1}, ["a", None], True):
        with pytest.raises(EdgeModelError, match="damaged from its first record on"):
            found(head | {"classes": junk})
    for junk in ([], 7, "x", None, {"samples": "many"}, {"samples": True}, {"samples": None}):
        with pytest.raises(EdgeModelError, match="its progress is none"):
            found(head, {"progress": junk})
    for junk in (1, [], None):
        assert found(head, {"progress": {"samples": 3}}, {"kind": "end", "digest": junk}).ended is None
    last = found(head, {"progress": {"samples": 3}}, *[{"kind": "end", "digest": f"{i:064}"} for i in range(3)])
    assert (last.progress, last.ended) == ({"samples": 3}, f"{2:064}")
    assert found(head, {"kind": "end", "digest": "x"}, {"progress": {"samples": 3}}).ended is None
    with pytest.raises(EdgeModelError, match="it holds no lessons"):
        found(head, *[{}] * 1001)


def begun(folder: Path) -> tuple[Path, EdgeModel, Checkpoints]:
    """A model file, the model in it, and the empty journal of its learning."""
    target = folder / "model.onnx"
    target.write_bytes(model_file.to_bytes(analytic_state()))
    model = EdgeModel.load(target)
    work = Checkpoints(model, target, {})
    work.begin()
    return target, model, work


@pytest.mark.parametrize("failures", [1, 3])
def test_what_could_not_be_written_is_in_the_next_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    target, model, work = begun(tmp_path)
    x = samples(3, 12)[0]

    def learn(count: int) -> None:
        for _ in range(count):
            at = model.samples_seen_ - 60
            model.partial_fit(x[at : at + 1], ["0"])
            work.write({"samples": at + 1})

    learn(2)
    with monkeypatch.context() as patch:
        patch.setattr("ssd_edge_runtime.storage.journal.write_all", full)
        for _ in range(failures):
            with pytest.raises(OSError, match="no space"):
                learn(1)
    found = find(target)
    assert found is not None
    assert found.progress == {"samples": 2}
    learn(1)
    found = find(target)
    assert found is not None
    assert found.progress == {"samples": 3 + failures}
    again = EdgeModel.load(target)
    assert found.replay(again) == []
    assert model_file.to_bytes(again.state) == model_file.to_bytes(model.state)


def test_what_was_written_before_it_broke_off_is_not_taken_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, model, work = begun(tmp_path)
    x = samples(3, 2)[0]
    real = Journal.append

    def then_stopped(journal: Journal, record: bytes, *, sync: bool = True) -> None:
        real(journal, record, sync=sync)
        raise KeyboardInterrupt

    model.partial_fit(x[:1], ["0"])
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", then_stopped)
        with pytest.raises(KeyboardInterrupt):
            work.write({"samples": 1})
    model.partial_fit(x[1:], ["0"])
    work.write({"samples": 2})
    again, found = EdgeModel.load(target), find(target)
    assert found is not None
    found.replay(again)
    assert again.samples_seen_ == model.samples_seen_ == 62


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_an_announcement_is_not_taken_for_the_lesson_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, x = tmp_path / "model.onnx", samples(3, 3)[0]
    target.write_bytes(model_file.to_bytes(analytic_state()))
    model = EdgeModel.load(target)
    work = Checkpoints(model, target, {})
    work.begin()
    for count in (1, 2):
        model.partial_fit(x[count - 1 : count], ["0"])
        with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
            patch.setattr("ssd_edge_runtime.storage.journal.write_all", full)
            work.write({"samples": count})
        work.announce("0" * 64)  # of a save that failed, too
    model.partial_fit(x[2:], ["1"])
    work.write({"samples": 3})
    again, found = EdgeModel.load(target), find(target)
    assert found is not None
    assert found.replay(again) == []
    assert model_file.to_bytes(again.state) == model_file.to_bytes(model.state)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("make", [analytic_state, gradient_state])
def test_a_checkpoint_that_is_broken_off_loses_nothing_and_takes_nothing_twice(
    tmp_path: Path, make: Callable[[], ModelState], error: type[BaseException]
) -> None:
    target, x = tmp_path / "model.onnx", samples(3, 3)[0]
    target.write_bytes(model_file.to_bytes(make()))

    def broken_off(place: int) -> Injection:
        model = EdgeModel.load(target)
        work = Checkpoints(model, target, {})
        work.begin()
        model.partial_fit(x[:1], ["0"])
        injection = Injection(error, place)
        injection.run(lambda: work.write({"samples": 1}))
        for count in (2, 3):
            model.partial_fit(x[count - 1 : count], ["1"])
            work.write({"samples": count})
        again, found = EdgeModel.load(target), find(target)
        assert found is not None
        assert found.progress == {"samples": 3}
        assert found.replay(again) == []
        assert model_file.to_bytes(again.state) == model_file.to_bytes(model.state), place
        return injection

    places = broken_off(-1).seen
    for place in range(1, places + 1, max(1, places // 40)):
        broken_off(place)
