"""Failing storage: each system call of a save, of a rollback and of a purge in turn."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, attempt
from saved import file_of, numbers

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
pytestmark = pytest.mark.usefixtures("four_generations")


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_each_call_of_a_save_fails_in_turn(make_state: MakeState, path: Path, code: int, for_good: bool) -> None:
    index, failures, number = 0, 0, 4
    while True:
        before, fault, new = path.read_bytes(), Fault(index, code, for_good), file_of(make_state(), number + 1)
        expected = model_file.digest_of(before)
        saved = attempt(lambda d=new, e=expected: storage.save(path, d, expected_digest=e), fault)
        now = path.read_bytes()
        assert now == new if saved else now in (before, new)
        assert not [g.problem for g in storage.history(path) if g.problem]
        # Trying again works, whether or not the file had already been renamed when the call failed.
        storage.save(path, new, expected_digest=None if saved else expected)
        assert [g.number for g in storage.history(path)][:2] == [number + 1, number]
        assert not list(path.parent.glob(".*.tmp"))
        index, failures, number = index + 1, failures + (not saved), number + 1
        if not fault.hit:
            break
    # A disk that is full once gets room made for it: most saves come through.
    assert 0 < failures < index / 4 if code == errno.ENOSPC and not for_good else failures > 5


def test_after_a_failure_past_the_rename_a_later_state_can_be_saved(make_state: MakeState, path: Path) -> None:
    """The folder could not be flushed, so the caller believes that the file is the old one."""
    real, expected = os.fsync, model_file.digest_of(path.read_bytes())
    renamed: list[bool] = []

    def fsync(descriptor: int) -> None:
        if renamed:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    rename = os.replace

    def replace_file(*args: Any, **kwargs: Any) -> None:
        rename(*args, **kwargs)
        renamed.append(True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        patch.setattr(os, "replace", replace_file)
        with pytest.raises(OSError, match="Input/output error"):
            storage.save(path, file_of(make_state(), 5), expected_digest=expected)
    assert model_file.load(path).generation == 5
    storage.save(path, file_of(make_state(), 6), expected_digest=expected)
    assert [g.number for g in storage.history(path)] == [6, 5, 4, 3]
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, file_of(make_state(), 7), expected_digest=expected)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_each_call_of_a_rollback_fails_in_turn(path: Path, code: int) -> None:
    index = 0
    while True:
        fault = Fault(index, code, False)
        done = attempt(lambda: storage.rollback(path, 2), fault)
        number = model_file.load(path).generation
        assert number == 2 if done else number in (2, 4)
        assert [g.number for g in storage.history(path)] == [4, 3, 2, 1]
        if number == 2:
            storage.rollback(path, 4)
        index += 1
        if not fault.hit:
            break
    assert index > 5


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=errno.errorcode.get)
def test_each_call_of_a_purge_fails_in_turn(make_state: MakeState, path: Path, code: int, for_good: bool) -> None:
    index, number, before = 0, 4, path.read_bytes()
    while True:
        fault = Fault(index, code, for_good)
        done = attempt(lambda: storage.purge(path), fault)
        assert path.read_bytes() == before
        assert not done or numbers(path) == [number]
        storage.purge(path)
        assert {entry.name for entry in path.parent.iterdir()} == {"model.onnx", "model.onnx.lock"}
        if not fault.hit:
            break
        index, number = index + 1, number + 1
        storage.save(path, file_of(make_state(), number))
        before = path.read_bytes()
    assert index > 5


def test_a_purge_that_fails_says_so(path: Path) -> None:
    real, calls = os.unlink, []

    def refuse(target: Any, *args: Any, **kwargs: Any) -> None:
        if str(target).endswith(".onnx"):
            calls.append(target)
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(target))
        real(target, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            storage.purge(path)
    assert calls
    storage.purge(path)
    assert len(storage.history(path)) == 1
