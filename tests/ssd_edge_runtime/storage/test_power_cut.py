"""A power cut takes what is not flushed: every state that a disk may be found in is looked at."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from saved import file_of

from ssd_edge_runtime import storage
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
pytestmark = pytest.mark.usefixtures("four_generations")


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
    before, new, cuts = path.read_bytes(), file_of(make_state(), 5), 0

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
