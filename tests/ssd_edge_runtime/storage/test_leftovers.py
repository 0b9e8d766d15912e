"""Temporary files of killed processes go; those of live ones, and everybody else's files, stay."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from saved import file_of, numbers, save_several

from ssd_edge_runtime import EdgeModel, model_file, storage
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import generations
from ssd_edge_runtime.storage.atomic import replacing, write_text, writing

MakeState = Callable[..., ModelState]


@pytest.fixture
def alive() -> Iterator[int]:
    """The process id of another process."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


@pytest.fixture
def dead() -> int:
    """The process id of one that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_those_of_the_very_file_are_its_leftovers(make_state: MakeState, path: Path, dead: int) -> None:
    place, data = path.with_name("m"), file_of(make_state(), 1)
    names = [f".m.b.{dead}.tmp", f".m.12.{dead}.tmp", f".mm.{dead}.tmp", ".m.tmp", f".m.{dead}.tmpx", ".m.0.tmp"]
    names += [
        f"m.{dead}.tmp",
        f".m.generations.{dead}.tmp",
        f".M.{dead}.tmp",
        f".m.{dead}x.tmp",
        f".m.-{dead}.tmp",
    ]
    own = [f".m.{dead}.tmp", f".m.{dead}-1.tmp", f".m.learning.{dead}.tmp", f".m.sig.{dead}.tmp"]
    for name in (*names, *own):
        path.with_name(name).write_bytes(b"half")
    storage.save(place, data)
    assert {entry.name for entry in path.parent.iterdir()} == {"m", "m.lock", *names}


@pytest.mark.parametrize("name", ["*", "a[b]", "m+.onnx", ".hidden", "straße ñ", "m.onnx.4711.tmp"])
def test_any_name_has_its_own_leftovers(make_state: MakeState, path: Path, name: str, dead: int) -> None:
    place, other = path.with_name(name), path.with_name(f".other.{dead}.tmp")
    path.with_name(f".{name}.{dead}.tmp").write_bytes(b"half")
    other.write_bytes(b"half")
    storage.save(place, file_of(make_state(), 1))
    assert {entry.name for entry in path.parent.iterdir()} == {name, f"{name}.lock", other.name}


def test_what_a_live_process_writes_stays(make_state: MakeState, path: Path, alive: int) -> None:
    theirs = path.with_name(f".model.onnx.{alive}.tmp")
    theirs.write_bytes(b"half")
    storage.save(path, file_of(make_state(), 1))
    assert theirs.exists()


def test_a_process_that_got_the_number_later_did_not_write_it(
    make_state: MakeState, path: Path, alive: int
) -> None:
    """As after every start of a device, where services get the same numbers again."""
    old = path.with_name(f".model.onnx.{alive}.tmp")
    old.write_bytes(b"half")
    os.utime(old, (0, 1_500_000_000))
    own = path.with_name(f".model.onnx.{os.getpid()}.tmp")
    own.write_bytes(b"half")
    storage.save(path, file_of(make_state(), 1))
    assert not old.exists()
    assert not own.exists()


def test_two_threads_of_a_process_write_beside_each_other(tmp_path: Path) -> None:
    place = tmp_path / "table.csv"
    with replacing(place) as first:
        os.write(first, b"first")
        write_text(place, "second")
        assert place.read_text() == "second"
        assert len(list(tmp_path.iterdir())) == 2
    assert [entry.read_text() for entry in tmp_path.iterdir()] == ["first"]


def test_a_stream_appears_whole_or_not_at_all(tmp_path: Path, dead: int) -> None:
    place, link = tmp_path / "table.csv", tmp_path / "link.csv"
    link.symlink_to(place)
    place.write_text("old")
    (tmp_path / f".table.csv.{dead}.tmp").write_text("half")
    with pytest.raises(RuntimeError), writing(place) as stream:
        stream.write(b"new")
        raise RuntimeError
    assert {entry.name: entry.read_text() for entry in tmp_path.iterdir()} == {
        "table.csv": "old",
        "link.csv": "old",
    }
    with writing(link) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert place.read_text() == "new"


def test_a_device_is_written_into_not_replaced(tmp_path: Path) -> None:
    write_text(os.devnull, "nothing")
    assert not Path(os.devnull).is_file()
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "nothing")


def test_what_is_named_like_a_generation_ends_nothing(make_state: MakeState, path: Path, dead: int) -> None:
    save_several(path, make_state(), 3)
    folder = generations.folder_of(path)
    (folder / f"{10**19:020d}-{'0' * 16}.onnx").write_bytes(b"")
    (folder / f"{10**19 - 1}-{'0' * 16}.onnx").write_bytes(b"")
    (folder / f"{2**63}-{'0' * 16}.onnx").write_bytes(b"")
    (folder / f"٠٠٠٠٠٠٠١-{'0' * 16}.onnx").write_bytes(b"")
    (folder / f"00000001-{'0' * 16}.onnx").mkdir()
    (folder / f"00000002-{'0' * 16}.onnx").symlink_to(path)
    others = {entry.name for entry in folder.iterdir()} - {
        entry.name for _, entry in generations.stored_files(path)
    }
    assert len(others) == 6
    half = [f".00000001-{'0' * 16}.onnx.{dead}.tmp", f"00000002-{'0' * 16}.copy"]
    for name in half:
        (folder / name).write_bytes(b"half")
    assert storage.next_generation(path) == 4
    storage.save(path, file_of(make_state(), 4), keep=1)
    assert numbers(path) == [4, 3]
    storage.save(path, file_of(make_state(), 5), keep=0)
    assert {entry.name for entry in folder.iterdir()} == others


def test_a_number_that_no_sound_file_bears_is_not_counted_on(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    folder = generations.folder_of(path)
    (folder / f"{2**63 - 1}-{'0' * 16}.onnx").write_bytes(b"planted")
    (folder / f"00000900-{'0' * 16}.onnx").write_bytes(path.read_bytes())
    assert storage.next_generation(path) == 3
    storage.rollback(path)
    assert storage.next_generation(path) == 3


@pytest.mark.parametrize("number", [2**63 - 1, 2**63 - 2])
def test_a_sound_file_of_the_highest_number_ends_nothing(make_state: MakeState, path: Path, number: int) -> None:
    save_several(path, make_state(), 2)
    planted = file_of(make_state(), number)
    (generations.folder_of(path) / f"{number}-{model_file.digest_of(planted)[:16]}.onnx").write_bytes(planted)
    for _ in range(4):
        model = EdgeModel.load(path)
        model.rename(model.classes_[0], f"{model.classes_[0]}+")
        model.save(path, keep=2)
    assert [entry.problem for entry in storage.history(path)] == [None] * 3
    assert EdgeModel.load(path).classes_[0].endswith("++++")
    assert storage.rollback(path).classes[0].endswith("+++")
    storage.purge(path)
    assert len(storage.history(path)) == 1


def test_errors_name_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"No such file or directory: '.*/missing/table\.csv'$"):
        write_text(tmp_path / "missing" / "table.csv", "x")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match=r"'.*/folder'$"), replacing(folder):
        pass
    assert list(tmp_path.iterdir()) == [folder]
