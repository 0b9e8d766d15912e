from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import generations

MakeState = Callable[..., ModelState]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def data_of(state: ModelState, samples: int) -> bytes:
    """The file of generation ``samples``, told apart by that number."""
    return model_file.to_bytes(replace(state, samples_seen=samples, generation=samples))


def save_several(path: Path, state: ModelState, count: int, keep: int = 3) -> list[str]:
    digests: list[str] = []
    for number in range(1, count + 1):
        expected = digests[-1] if digests else None
        digests.append(storage.save(path, data_of(state, number), expected_digest=expected, keep=keep))
    return digests


def numbers(path: Path) -> list[int]:
    return [generation.number for generation in storage.history(path)]


def current(path: Path) -> int:
    return model_file.load(path).generation


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


def test_keep_says_how_many(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 4, keep=1)
    assert numbers(path) == [4, 3]
    storage.save(path, data_of(make_state(), 5), keep=0)
    assert numbers(path) == [5]
    assert not generations.folder_of(path).exists()


def test_checkpoints_do_not_push_out_generations(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    storage.save(path, data_of(make_state(), 3))
    for number in range(4, 9):
        storage.save(path, data_of(make_state(), number), keep_replaced=False)
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


def test_a_lost_update_is_refused(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    with pytest.raises(EdgeModelError, match=r"changed since it was loaded .* merge the two"):
        storage.save(path, data_of(make_state(), 9), expected_digest=digests[0])
    assert numbers(path) == [2, 1]
    path.write_bytes(b"not a model")
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, data_of(make_state(), 9), expected_digest=digests[1])
    assert path.read_bytes() == b"not a model"


def test_saving_again_is_no_new_generation(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    for expected in (None, digests[1]):
        storage.save(path, data_of(make_state(), 2), expected_digest=expected)
    assert numbers(path) == [2, 1]


def test_two_that_learned_the_same_do_not_count_as_one(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 2)
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, data_of(make_state(), 2), expected_digest=digests[0])


def test_only_model_files_are_saved(path: Path) -> None:
    with pytest.raises(EdgeModelError, match="not an ONNX model"):
        storage.save(path, b"anything")
    assert not path.exists()


def test_a_path_that_is_no_file_is_not_read(make_state: MakeState, path: Path) -> None:
    data = data_of(make_state(), 1)
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
    storage.save(path, data_of(make_state(), 1))
    assert numbers(path) == [1]


def test_save_follows_links_and_keeps_permissions(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 1)
    path.chmod(0o640)
    link = path.with_name("latest.onnx")
    link.symlink_to(path)
    storage.save(link, data_of(make_state(), 2))
    assert link.is_symlink()
    assert current(path) == 2
    assert path.stat().st_mode & 0o777 == 0o640


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


def test_leftovers_of_killed_processes_go(make_state: MakeState, path: Path) -> None:
    leftover = path.with_name(".model.onnx.4711.tmp")
    leftover.write_bytes(b"half")
    other = path.with_name(".other.onnx.4711.tmp")
    other.write_bytes(b"half")
    save_several(path, make_state(), 1)
    assert not leftover.exists()
    assert other.exists()


def test_other_files_among_the_generations_stay(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    note = generations.folder_of(path) / "note.txt"
    note.write_text("mine")
    storage.save(path, data_of(make_state(), 3), keep=0)
    assert numbers(path) == [3]
    assert note.exists()


def test_a_missing_folder_is_named(make_state: MakeState, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such folder.*missing"):
        storage.save(tmp_path / "missing" / "model.onnx", data_of(make_state(), 1))


def test_a_clock_that_jumps_back_changes_no_order(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    os.utime(path, (0, 0))
    assert numbers(path) == [3, 2, 1]
    assert storage.rollback(path).number == 2


HOLD = """
import sys, time
from ssd_edge_runtime.storage.locking import locked
with locked(sys.argv[1], 5):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(path: Path) -> Any:
    """Another process that holds the lock of ``path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_writer_learns_who_holds_the_lock(make_state: MakeState, path: Path, holder: Any) -> None:
    data = data_of(make_state(), 1)
    with pytest.raises(EdgeModelError, match=f"is being written by process {holder.pid} \\(waited 0.1 s\\)"):
        storage.save(path, data, lock_timeout=0.1)
    assert not path.exists()


def test_readers_are_never_blocked(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        assert current(path) == 2
        assert numbers(path) == [2, 1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_left_by_a_dead_process_does_not_block(make_state: MakeState, path: Path, holder: Any) -> None:
    holder.kill()
    holder.wait()
    assert path.with_name("model.onnx.lock").exists()
    storage.save(path, data_of(make_state(), 1), lock_timeout=5)
    assert current(path) == 1


def test_a_second_writer_waits_its_turn(make_state: MakeState, path: Path) -> None:
    data, order = data_of(make_state(), 1), []

    def write() -> None:
        storage.save(path, data, lock_timeout=10)
        order.append("second")

    with storage.locked(path):
        with storage.locked(path, 0):
            thread = threading.Thread(target=write)
            thread.start()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_second_thread_gives_up_in_time(path: Path) -> None:
    errors: list[str] = []

    def write() -> None:
        try:
            with storage.locked(path, 0.05):
                pass
        except EdgeModelError as error:
            errors.append(str(error))

    with storage.locked(path):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert f"another thread of process {os.getpid()}" in errors[0]


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
