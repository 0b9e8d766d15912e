"""Earlier generations beside the file, and back to one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved import current, file_of, numbers, save_several

from ssd_edge_runtime import storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import generations

MakeState = Callable[..., ModelState]


def test_keep_says_how_many(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 4, keep=1)
    assert numbers(path) == [4, 3]
    storage.save(path, file_of(make_state(), 5), keep=0)
    assert numbers(path) == [5]
    assert not generations.folder_of(path).exists()


def test_checkpoints_do_not_push_out_generations(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    storage.save(path, file_of(make_state(), 3))
    for number in range(4, 9):
        storage.save(path, file_of(make_state(), number), keep_replaced=False)
    assert numbers(path) == [8, 2, 1]
    assert storage.next_generation(path) == 9


def test_purge_leaves_no_generation(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    storage.purge(path)
    assert numbers(path) == [3]
    assert not generations.folder_of(path).exists()


def test_rollback_and_back_again(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 4)
    assert storage.rollback(path).number == 3
    assert current(path) == 3
    assert storage.rollback(path).number == 2
    assert storage.rollback(path, 4).number == 4
    assert current(path) == 4
    assert numbers(path) == [4, 3, 2, 1]
    storage.rollback(path, 1)
    assert storage.next_generation(path) == 5


def test_rollback_to_what_is_not_there(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    with pytest.raises(EdgeModelError, match="cannot go back to generation 9: there are 1"):
        storage.rollback(path, 9)
    storage.rollback(path)
    with pytest.raises(EdgeModelError, match="cannot go back to an earlier generation: there are 2"):
        storage.rollback(path)


def test_a_damaged_generation_is_shown_and_passed_over(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    damaged = storage.history(path)[1].path
    data = damaged.read_bytes()
    damaged.write_bytes(data[:-5] + b"xxxxx")
    assert "digest mismatch" in str(storage.history(path)[1].problem)
    with pytest.raises(EdgeModelError, match=r"generation 2 of .* is damaged: digest mismatch"):
        storage.rollback(path, 2)
    assert storage.rollback(path).number == 1


def test_a_file_that_is_no_model_has_no_history(path: Path) -> None:
    path.write_bytes(b"notes")
    for action in (storage.history, storage.rollback):
        with pytest.raises(EdgeModelError, match=r"model\.onnx: not an ONNX model"):
            action(path)


def test_rollback_rescues_from_a_damaged_file(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    path.write_bytes(b"\0" * 100)
    assert storage.rollback(path).number == 2
    assert current(path) == 2


def test_filesystems_without_links_get_copies(
    make_state: MakeState, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_several(path, make_state(), 3)
    assert numbers(path) == [3, 2, 1]
    assert all(generation.problem is None for generation in storage.history(path))
    assert storage.rollback(path).number == 2


def test_other_files_among_the_generations_stay(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    note = generations.folder_of(path) / "note.txt"
    note.write_text("mine")
    storage.save(path, file_of(make_state(), 3), keep=0)
    assert numbers(path) == [3]
    assert note.exists()


def test_a_clock_that_jumps_back_changes_no_order(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    os.utime(path, (0, 0))
    assert numbers(path) == [3, 2, 1]
    assert storage.rollback(path).number == 2
