"""Saving: atomic, by one writer, and no update is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved import current, file_of, numbers, save_several

from ssd_edge_runtime import storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def test_save_keeps_the_last_generations(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 6)
    history = storage.history(path)
    assert [g.number for g in history] == [6, 5, 4, 3]
    assert [g.current for g in history] == [True, False, False, False]
    assert [g.digest for g in history] == digests[:1:-1]
    assert history[1].samples == 5
    assert history[1].classes == ["class 0", "class 1", "class 2"]
    assert history[1].file_bytes == history[1].path.stat().st_size
    assert sorted(entry.name for entry in path.parent.iterdir()) == [
        "model.onnx",
        "model.onnx.generations",
        "model.onnx.lock",
    ]


def test_a_lost_update_is_refused(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    with pytest.raises(EdgeModelError, match=r"changed since it was loaded .* merge the two"):
        storage.save(path, file_of(make_state(), 9), expected_digest=digests[0])
    assert numbers(path) == [2, 1]
    path.write_bytes(b"not a model")
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, file_of(make_state(), 9), expected_digest=digests[1])
    assert path.read_bytes() == b"not a model"


def test_saving_again_is_no_new_generation(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    for expected in (None, digests[1]):
        storage.save(path, file_of(make_state(), 2), expected_digest=expected)
    assert numbers(path) == [2, 1]


def test_two_that_learned_the_same_do_not_count_as_one(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, file_of(make_state(), 2), expected_digest=digests[0])


def test_only_model_files_are_saved(path: Path) -> None:
    with pytest.raises(EdgeModelError, match="not an ONNX model"):
        storage.save(path, b"anything")
    assert not path.exists()


def test_a_path_that_is_no_file_is_not_read(make_state: MakeState, path: Path) -> None:
    data = file_of(make_state(), 1)
    os.mkfifo(path)
    actions: list[Callable[[], Any]] = [
        lambda: storage.save(path, data),
        lambda: storage.history(path),
        lambda: storage.rollback(path),
        lambda: storage.next_generation(path),
    ]
    for action in actions:
        with pytest.raises(EdgeModelError, match=r"model\.onnx is not a regular file"):
            action()


def test_a_file_that_is_no_model_is_replaced_only_unasked(make_state: MakeState, path: Path) -> None:
    path.write_bytes(b"notes")
    storage.save(path, file_of(make_state(), 1))
    assert numbers(path) == [1]


def test_save_follows_links_and_keeps_permissions(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 1)
    path.chmod(0o640)
    link = path.with_name("latest.onnx")
    link.symlink_to(path)
    storage.save(link, file_of(make_state(), 2))
    assert link.is_symlink()
    assert current(path) == 2
    assert path.stat().st_mode & 0o777 == 0o640


def test_leftovers_of_killed_processes_go(make_state: MakeState, path: Path) -> None:
    leftover = path.with_name(".model.onnx.999999999.tmp")
    leftover.write_bytes(b"half")
    other = path.with_name(".other.onnx.999999999.tmp")
    other.write_bytes(b"half")
    save_several(path, make_state(), 1)
    assert not leftover.exists()
    assert other.exists()


def test_a_missing_folder_is_named(make_state: MakeState, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such folder.*missing"):
        storage.save(tmp_path / "missing" / "model.onnx", file_of(make_state(), 1))


READ_ONLY = """
import os, sys
from pathlib import Path
from ssd_edge_runtime import storage
data = Path(sys.argv[1]).read_bytes()
storage.save(sys.argv[2], data)  # imports all there is to import while still allowed to
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    storage.save(sys.argv[1], data)
except PermissionError as error:
    print(error)
"""


def test_a_folder_that_cannot_be_written(
    make_state: MakeState, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    save_several(path, make_state(), 1)
    path.with_name("model.onnx.lock").unlink()
    before = path.read_bytes()
    folder = path.parent
    other = tmp_path_factory.mktemp("other") / "model.onnx"
    opened = [parent for parent in folder.parents if not parent.stat().st_mode & 0o001 and parent != Path("/")]
    modes = [(parent, parent.stat().st_mode) for parent in opened]
    for parent in opened:
        parent.chmod(parent.stat().st_mode | 0o005)
    folder.chmod(0o555)
    try:
        found = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(path), str(other)], capture_output=True, text=True, check=True
        )
    finally:
        folder.chmod(0o755)
        for parent, mode in modes:
            parent.chmod(mode)
    assert "Permission denied" in found.stdout
    assert path.read_bytes() == before


@pytest.mark.usefixtures("four_generations")
def test_errors_of_the_wrong_kind_are_not_hidden(path: Path) -> None:
    with pytest.raises(EdgeModelError, match="keep must be 0 or more, got -1"):
        storage.save(path, path.read_bytes(), keep=-1)
