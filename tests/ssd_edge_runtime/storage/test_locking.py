"""One writer per file, whoever he is and however he dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from saved import current, file_of, numbers, save_several

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import filelocks
from ssd_edge_runtime.storage.ownership import Ownership

MakeState = Callable[..., ModelState]


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
    data = file_of(make_state(), 1)
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
    storage.save(path, file_of(make_state(), 1), lock_timeout=5)
    assert current(path) == 1


def test_a_second_writer_waits_its_turn(make_state: MakeState, path: Path) -> None:
    data, order = file_of(make_state(), 1), []

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


WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from ssd_edge_runtime import model_file
from ssd_edge_runtime import storage
from ssd_edge_runtime.errors import EdgeModelError
path, saved = Path(sys.argv[1]), 0
while saved < int(sys.argv[2]):
    data = path.read_bytes()
    state = model_file.from_bytes(data)
    more = replace(state, samples_seen=state.samples_seen + 1, generation=state.generation + 1)
    digest = model_file.digest_of(data)
    try:
        storage.save(path, model_file.to_bytes(more), expected_digest=digest, lock_timeout=30)
        saved += 1
    except EdgeModelError as error:
        assert "changed since it was loaded" in str(error), error
"""


@pytest.mark.usefixtures("four_generations")
def test_two_writers_lose_nothing(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), "15"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == ""
        assert writer.returncode == 0
    assert model_file.load(path).samples_seen == 4 + 30


FORK = """
import os, sys
from ssd_edge_runtime import storage
from ssd_edge_runtime.errors import EdgeModelError
path = sys.argv[1]
with storage.locked(path):
    with storage.locked(path, 0):
        child = os.fork()
    if child == 0:
        try:
            with storage.locked(path, 0):
                print("the child is in", flush=True)
        except EdgeModelError as error:
            told = str(error).partition(" is ")[2].partition(" (")[0]
            print(told.replace(str(os.getppid()), "PARENT"), flush=True)
    else:
        os.waitpid(child, 0)
if child == 0:
    os._exit(0)
second = os.fork()
if second == 0:
    with storage.locked(path, 0):
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(second, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_inside_the_lock_is_not_in_it(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORK, str(path)], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("being written by process PARENT\n7\n", "")


ORPHAN = """
import os, sys, time
from ssd_edge_runtime import storage
with storage.locked(sys.argv[1]):
    if os.fork() == 0:
        os.close(1)
        time.sleep(60)
    print("forked", flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_outlives_the_holder_does_not_keep_the_lock(make_state: MakeState, path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, str(path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        assert process.communicate(timeout=30)[0] == "forked\n"
        storage.save(path, file_of(make_state(), 1), lock_timeout=1)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
    assert current(path) == 1


def test_a_lock_is_taken_on_the_file_that_stands_there(path: Path) -> None:
    """Whoever waited on a lock file that was removed meanwhile takes its successor, as everybody else does."""
    lock, entered = path.with_name("model.onnx.lock"), threading.Event()

    def wait() -> None:
        if filelocks.acquire(lock, Ownership(), 10) is not None:
            entered.set()

    first = filelocks.acquire(lock, Ownership(), 0)
    assert first is not None
    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    lock.unlink()
    second = filelocks.acquire(lock, Ownership(), 0)
    assert second is None or not entered.wait(0.2)
    first.release()
    if second is not None:
        second.release()
    thread.join()
    assert entered.is_set()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_a_lock_that_is_no_file_is_refused(
    make_state: MakeState, path: Path, make: Callable[[Path], object]
) -> None:
    make(path.with_name("model.onnx.lock"))
    with pytest.raises((OSError, EdgeModelError), match=r"model\.onnx\.lock"):
        storage.save(path, file_of(make_state(), 1), lock_timeout=0)
    assert not path.exists()


def test_no_lock_stays_where_there_came_to_be_no_model(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        storage.rollback(path)
    assert list(path.parent.iterdir()) == []
