"""Failing storage: each system call of a save in turn, a full disk, a power cut that takes what is not flushed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
CALLS = ("open", "write", "fsync", "close", "replace", "link", "unlink", "mkdir", "rmdir")


def data_of(state: ModelState, number: int) -> bytes:
    return model_file.to_bytes(replace(state, samples_seen=number, generation=number))


@pytest.fixture
def path(make_state: MakeState, tmp_path: Path) -> Path:
    """A model at generation 4 with three earlier ones, so that saving prunes too."""
    path = tmp_path / "model.onnx"
    for number in range(1, 5):
        storage.save(path, data_of(make_state(), number))
    return path


class Fault:
    """From the ``index``-th changing call on: fails once (or, ``for_good``, always) with ``code``."""

    def __init__(self, index: int, code: int, for_good: bool) -> None:
        self.index, self.code, self.for_good = index, code, for_good
        self.calls = 0
        self.hit = False

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            due = self.calls > self.index if self.for_good else self.calls == self.index + 1
            if not due:
                return real(*args, **kwargs)
            self.hit = True
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            if name == "close":
                real(*args, **kwargs)
            raise OSError(self.code, os.strerror(self.code))

        return call


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, fault.wrap(name, getattr(os, name)))
        yield


def attempt(action: Callable[[], Any], fault: Fault) -> bool:
    """Whether ``action`` came through despite the fault; only OSError may say that it did not."""
    try:
        with failing(fault):
            action()
    except OSError as error:
        assert error.errno == fault.code
        return False
    return True


@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EROFS], ids=errno.errorcode.get)
def test_each_call_of_a_save_fails_in_turn(make_state: MakeState, path: Path, code: int, for_good: bool) -> None:
    index, failures, number = 0, 0, 4
    while True:
        before, fault, new = path.read_bytes(), Fault(index, code, for_good), data_of(make_state(), number + 1)
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
    assert failures > (1 if code == errno.ENOSPC and not for_good else 5)


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
            storage.save(path, data_of(make_state(), 5), expected_digest=expected)
    assert model_file.load(path).generation == 5
    storage.save(path, data_of(make_state(), 6), expected_digest=expected)
    assert [g.number for g in storage.history(path)] == [6, 5, 4, 3]
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        storage.save(path, data_of(make_state(), 7), expected_digest=expected)


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


@dataclass
class Inode:
    """A file's bytes as written and as flushed."""

    written: bytes = b""
    flushed: bytes | None = None


@dataclass
class Disk:
    """What a filesystem may show after a power cut.

    File bytes survive if they were flushed; names survive up to some point of each folder's history after its last
    flush, in order. The disk itself tells the truth about flushing.
    """

    names: dict[str, Inode] = field(default_factory=dict)
    durable: dict[str, Inode] = field(default_factory=dict)
    pending: list[tuple[str, Callable[[dict[str, Inode]], None]]] = field(default_factory=list)
    open_files: dict[int, Inode | str] = field(default_factory=dict)

    def change(self, name: str, how: Callable[[dict[str, Inode]], None]) -> None:
        how(self.names)
        self.pending.append((str(Path(name).parent), how))

    def flush_folder(self, folder: str) -> None:
        for place, how in self.pending:
            if place == folder:
                how(self.durable)
        self.pending = [entry for entry in self.pending if entry[0] != folder]

    def after_power_cut(self) -> Iterator[dict[str, bytes | None]]:
        """Every state of the names that may be found, with each file's bytes; None for bytes never flushed."""
        for kept in range(len(self.pending) + 1):
            names = dict(self.durable)
            for _, how in self.pending[:kept]:
                how(names)
            yield {name: inode.flushed for name, inode in names.items()}


class Recorder:
    """Passes calls on to the real filesystem and mirrors them on a :class:`Disk`; looks at it after each."""

    def __init__(self, root: Path, look: Callable[[Disk], None]) -> None:
        self.disk, self.look = Disk(), look
        for file in root.rglob("*.onnx"):
            inode = Inode(file.read_bytes(), file.read_bytes())
            self.disk.names[str(file)] = self.disk.durable[str(file)] = inode

    def open(self, real: Any, file: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        descriptor, name = int(real(file, flags, *args, **kwargs)), str(file)
        if flags & os.O_CREAT and not name.endswith((".lock", ".pid")):
            inode = Inode()
            self.disk.change(name, lambda names: names.__setitem__(name, inode))
            self.disk.open_files[descriptor] = inode
        elif flags == os.O_RDONLY:
            self.disk.open_files[descriptor] = name
        return descriptor

    def write(self, real: Any, descriptor: int, data: Any) -> int:
        count = int(real(descriptor, data))
        inode = self.disk.open_files.get(descriptor)
        if isinstance(inode, Inode):
            inode.written += bytes(data)[:count]
        return count

    def fsync(self, real: Any, descriptor: int) -> None:
        real(descriptor)
        target = self.disk.open_files[descriptor]
        if isinstance(target, Inode):
            target.flushed = target.written
        else:
            self.disk.flush_folder(target)

    def close(self, real: Any, descriptor: int) -> None:
        self.disk.open_files.pop(descriptor, None)
        real(descriptor)

    def replace(self, real: Any, source: Any, target: Any, **kwargs: Any) -> None:
        real(source, target, **kwargs)
        self.disk.change(str(target), lambda names: names.__setitem__(str(target), names.pop(str(source))))

    def link(self, real: Any, source: Any, target: Any, **kwargs: Any) -> None:
        real(source, target, **kwargs)
        inode = self.disk.names[str(source)]
        self.disk.change(str(target), lambda names: names.__setitem__(str(target), inode))

    def unlink(self, real: Any, target: Any, **kwargs: Any) -> None:
        real(target, **kwargs)
        self.disk.change(str(target), lambda names: names.pop(str(target), None) and None)

    @contextmanager
    def recording(self) -> Iterator[None]:
        def wrap(name: str, real: Any) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                result = getattr(self, name)(real, *args, **kwargs)
                self.look(self.disk)
                return result

            return call

        with pytest.MonkeyPatch.context() as patch:
            for name in ("open", "write", "fsync", "close", "replace", "link", "unlink"):
                patch.setattr(os, name, wrap(name, getattr(os, name)))
            yield


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_a_power_cut_after_any_call(
    make_state: MakeState, path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    before, new, cuts = path.read_bytes(), data_of(make_state(), 5), 0

    def look(disk: Disk) -> None:
        nonlocal cuts
        for found in disk.after_power_cut():
            assert found[str(path)] in (before, new)
            generations = {
                name: data for name, data in found.items() if ".generations/" in name and name.endswith("onnx")
            }
            assert None not in generations.values(), "a generation whose bytes were never flushed"
            if found[str(path)] == new:
                assert before in generations.values(), "the new file without the one it replaced"
            cuts += 1

    recorder = Recorder(path.parent, look)
    with recorder.recording():
        storage.save(path, new)
    assert cuts > 20
    assert all(found[str(path)] == new for found in recorder.disk.after_power_cut()), "acknowledged, yet lost"


def test_a_power_cut_in_a_rollback(path: Path) -> None:
    before, wanted, cuts = path.read_bytes(), storage.history(path)[2].path.read_bytes(), 0

    def look(disk: Disk) -> None:
        nonlocal cuts
        for found in disk.after_power_cut():
            assert found[str(path)] in (before, wanted)
            assert before in found.values(), "what was current is gone"
            cuts += 1

    recorder = Recorder(path.parent, look)
    with recorder.recording():
        storage.rollback(path, 2)
    assert cuts > 5
    assert all(found[str(path)] == wanted for found in recorder.disk.after_power_cut()), "done, yet undone"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 200 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_gives_up_generations_before_the_save(make_state: MakeState, small_disk: Path) -> None:
    path = small_disk / "model.onnx"
    state = make_state(hidden=(100,), readout="analytic")
    size = len(data_of(state, 1))
    assert 40_000 < size < 60_000
    for number in range(1, 8):
        storage.save(path, data_of(state, number))
        assert model_file.load(path).generation == number
    assert 2 <= len(storage.history(path)) <= 3


def test_a_disk_full_of_other_things_leaves_the_file_alone(make_state: MakeState, small_disk: Path) -> None:
    path = small_disk / "model.onnx"
    state = make_state(hidden=(100,), readout="analytic")
    storage.save(path, data_of(state, 1))
    storage.save(path, data_of(state, 2))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    large = model_file.to_bytes(make_state(hidden=(160,), readout="analytic"))
    with pytest.raises(OSError, match="No space left"):
        storage.save(path, large)
    assert [g.number for g in storage.history(path)] == [2, 1]
    filler.unlink()
    storage.save(path, data_of(state, 3))
    assert model_file.load(path).generation == 3


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


def test_two_writers_lose_nothing(path: Path) -> None:
    command = [sys.executable, "-c", WRITER, str(path), "15"]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for writer in writers:
        assert writer.communicate(timeout=120)[1] == ""
        assert writer.returncode == 0
    assert model_file.load(path).samples_seen == 4 + 30


def test_errors_of_the_wrong_kind_are_not_hidden(path: Path) -> None:
    with pytest.raises(EdgeModelError, match="keep must be 0 or more, got -1"):
        storage.save(path, path.read_bytes(), keep=-1)
