"""Folders appear whole or not at all, and nothing stays of writers that were killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ssd_edge_runtime.storage import folders
from ssd_edge_runtime.storage.exchange import exchanged
from ssd_edge_runtime.storage.folders import bring_back, replacing_folder, scratch

KILLED = """
import os, signal, sys
from pathlib import Path
from ssd_edge_runtime.storage.atomic import writing
from ssd_edge_runtime.storage.folders import replacing_folder, scratch
what, place = sys.argv[1], Path(sys.argv[2])
with {"folder": replacing_folder, "file": writing, "scratch": lambda _: scratch()}[what](place) as begun:
    if isinstance(begun, Path):
        (begun / "half").write_text("half")
    else:
        begun.write(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_while_writing(what: str, place: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, what, str(place)])
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with something in it, in another one."""
    folder = tmp_path / "runs" / "old"
    folder.mkdir(parents=True)
    (folder / "old.txt").write_text("old")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_folder_takes_the_place_of_another(old: Path) -> None:
    with replacing_folder(old) as fresh:
        (fresh / "new.txt").write_text("new")
        assert names(old) == ["old.txt"]
    assert names(old) == ["new.txt"]
    assert names(old.parent) == ["old"]


def test_a_folder_that_was_not_there_appears_whole(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "down" / "new"
    with replacing_folder(place) as fresh:
        (fresh / "new.txt").write_text("new")
        assert not place.exists()
    assert names(place) == ["new.txt"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_error_changes_nothing(old: Path, error: type[BaseException]) -> None:
    for place in (old, old.with_name("new")):
        with pytest.raises(error), replacing_folder(place) as fresh:
            (fresh / "new.txt").write_text("new")
            raise error
    assert names(old.parent) == ["old"]
    assert names(old) == ["old.txt"]


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="no such call")
def test_two_folders_change_places_in_one_step(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    new = old.with_name("new")
    new.mkdir()
    assert exchanged(old, new)
    assert (names(old), names(new)) == ([], ["old.txt"])
    assert not exchanged(old, old.with_name("absent"))
    monkeypatch.setattr(Path, "rename", lambda *_: pytest.fail("there is a moment without either"))
    with replacing_folder(new) as fresh:
        (fresh / "new.txt").write_text("new")
    assert names(new) == ["new.txt"]
    assert names(old.parent) == ["new", "old"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("renames", [1, 2])
def test_a_kill_around_either_rename_leaves_a_folder_that_is_found(
    old: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    """Where the system cannot exchange two names."""
    monkeypatch.setattr(folders, "exchanged", lambda *_: False)
    child = os.fork()
    if child == 0:
        rename, done = Path.rename, []

        def then_killed(self: Path, target: Path) -> Path:
            rename(self, target)
            done.append(target)
            if len(done) == renames:
                os._exit(9)
            return target

        monkeypatch.setattr(Path, "rename", then_killed)
        with replacing_folder(old) as fresh:
            (fresh / "new.txt").write_text("new")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    bring_back(old)
    assert names(old) == [["old.txt"], ["new.txt"]][renames - 1]
    with replacing_folder(old) as fresh:
        (fresh / "newer.txt").write_text("newer")
    assert names(old) == ["newer.txt"]
    assert names(old.parent) == ["old"]


def test_a_rename_that_fails_puts_the_old_folder_back(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "exchanged", lambda *_: False)
    rename, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(PermissionError), replacing_folder(old):
        pass
    assert names(old.parent) == ["old"]
    assert names(old) == ["old.txt"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
@pytest.mark.parametrize("what", ["folder", "file"])
def test_a_killed_writer_leaves_the_old_one_and_no_litter_for_good(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    killed_while_writing(what, place)
    assert not place.exists()
    assert len(names(tmp_path)) == 1
    with replacing_folder(place):
        pass
    assert names(tmp_path) == ["place"]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_scratch_folders_of_killed_processes_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    killed_while_writing("scratch", tmp_path)
    (left,) = tmp_path.iterdir()
    with scratch() as folder, scratch() as second:
        assert folder != second
        assert not left.exists()
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert names(tmp_path) == []
