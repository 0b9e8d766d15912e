"""Memory that a container leaves, and files that end."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from ssd_edge_runtime import memory, model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.files import open_regular, read_at_most


def group(folder: Path, limit: str, used: int, cache: int, *, first: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("limit_in_bytes", "usage_in_bytes") if first else ("max", "current")
    for name, text in zip(names, (limit, str(used)), strict=True):
        (folder / f"memory.{name}").write_text(f"{text}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{'total_' * first}inactive_file {cache}\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "OWN", tmp_path / "own")
    return tmp_path


def test_a_group_leaves_its_limit_less_what_it_uses(machine: Path) -> None:
    (machine / "own").write_text("0::/a/b\n")
    group(machine / "cgroup/a/b", "max", 500, 0)
    group(machine / "cgroup/a", "9000", 5000, 300)
    assert memory.free_memory() == 4300


def test_a_container_sees_its_own_group_as_the_root(machine: Path) -> None:
    (machine / "own").write_text("0::/docker/0123\n")
    group(machine / "cgroup", "9000", 5000, 0)
    assert memory.free_memory() == 4000


def test_the_first_version_of_groups(machine: Path) -> None:
    (machine / "own").write_text("12:cpu:/x\n3:memory,hugetlb:/x\n")
    group(machine / "cgroup/memory/x", "7000", 8000, 500, first=True)
    assert memory.free_memory() == 0
    group(machine / "cgroup/memory/x", str(2**63 - 4096), 8000, 500, first=True)
    assert memory.free_memory() > 9000


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../..", "0::/a\n"])
def test_where_there_are_no_groups_the_machine_counts(machine: Path, text: str) -> None:
    (machine / "own").write_text(text)
    assert memory.free_memory() > 1 << 20


def test_what_may_never_end_is_refused_at_once(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link, Path("/dev/null")):
        for read in (model_file.load, model_file.describe, model_file.class_names):
            with pytest.raises(EdgeModelError, match="is not a regular file"):
                read(path)
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path, EdgeModelError)


def test_a_pipe_somebody_writes_into_is_refused_too(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    opened = threading.Event()

    def write() -> None:
        with pipe.open("wb"):
            opened.wait(10)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with pytest.raises(EdgeModelError, match="pipe is not a regular file"):
            model_file.load(pipe)
    finally:
        opened.set()
        writer.join(10)


def test_no_more_than_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10))
    assert read_at_most(tmp_path / "file", 10, EdgeModelError) == bytes(10)
    with pytest.raises(EdgeModelError, match="file has more than 9 bytes"):
        read_at_most(tmp_path / "file", 9, EdgeModelError)
