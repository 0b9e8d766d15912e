"""Root, or another user, saves into somebody's folder: the file stays that person's, and so does all beside it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from saved import current, file_of, numbers, save_several

from ssd_edge_runtime import storage
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage.atomic import write_text
from ssd_edge_runtime.storage.journal import Journal, journal_path
from ssd_edge_runtime.storage.ownership import Ownership

MakeState = Callable[..., ModelState]
USER, GROUP, STRANGER = 54321, 54322, 54323
pytestmark = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root")


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder of an ordinary user, where everybody gets to."""
    folder = Path(tempfile.mkdtemp(prefix="ssd-edge-home-"))
    os.chown(folder, USER, GROUP)
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def model(home: Path, make_state: MakeState) -> Path:
    """A model that belongs to that user, written by himself."""
    path = home / "model.onnx"
    path.write_bytes(file_of(make_state(), 1))
    os.chown(path, USER, GROUP)
    path.chmod(0o640)
    return path


def belongs(path: Path) -> tuple[int, int, str]:
    found = path.stat()
    return found.st_uid, found.st_gid, oct(stat.S_IMODE(found.st_mode))


SAVE = """
import os, sys
from dataclasses import replace
from pathlib import Path
from ssd_edge_runtime import model_file, storage

def change(path):
    state = model_file.load(path)
    number = state.generation + 1
    storage.save(path, model_file.to_bytes(replace(state, samples_seen=number, generation=number)), lock_timeout=1)
    storage.rollback(path)
    storage.purge(path)

change(Path(sys.argv[1]))  # imports all there is to import while still allowed to
os.setgroups([])
os.setgid(int(sys.argv[4]))
os.setuid(int(sys.argv[3]))
change(Path(sys.argv[2]))
"""


def save_as(user: int, path: Path, group: int = GROUP) -> str:
    """Save, roll back and purge as somebody; what he was told."""
    with tempfile.TemporaryDirectory() as scratch:
        practice = shutil.copy(path, scratch)
        command = [sys.executable, "-c", SAVE, practice, str(path), str(user), str(group)]
        done = subprocess.run(command, capture_output=True, text=True)
    return done.stderr.strip().rpartition("\n")[2]


def test_what_root_saves_stays_the_users(model: Path, make_state: MakeState) -> None:
    storage.save(model, file_of(make_state(), 2))
    Journal.create(journal_path(model), b"a lesson")
    storage.rollback(model)
    folder = model.with_name("model.onnx.generations")
    assert belongs(model) == (USER, GROUP, "0o640")
    assert belongs(folder) == (USER, GROUP, "0o750")
    assert [belongs(entry) for entry in folder.iterdir()] == [(USER, GROUP, "0o640")] * 2
    assert belongs(model.with_name("model.onnx.lock")) == (USER, GROUP, "0o640")
    assert belongs(journal_path(model)) == (USER, GROUP, "0o600")
    assert save_as(USER, model) == ""


def test_root_writes_a_new_file_as_the_folders_owner_would(home: Path, make_state: MakeState) -> None:
    storage.save(home / "new.onnx", file_of(make_state(), 1))
    write_text(home / "report.json", "{}")
    for name in ("new.onnx", "report.json", "new.onnx.lock"):
        assert belongs(home / name) == (USER, GROUP, "0o644")
    home.chmod(0o700)
    storage.save(home / "own.onnx", file_of(make_state(), 1))
    assert belongs(home / "own.onnx") == (USER, GROUP, "0o600")


def test_copies_of_generations_belong_to_the_user_too(
    model: Path, make_state: MakeState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    storage.save(model, file_of(make_state(), 2))
    storage.rollback(model)
    entries = list(model.with_name("model.onnx.generations").iterdir())
    assert [belongs(entry) for entry in (*entries, model)] == [(USER, GROUP, "0o640")] * 3


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o444])
def test_a_lock_that_root_left_blocks_nobody(model: Path, mode: int) -> None:
    lock = model.with_name("model.onnx.lock")
    lock.touch()
    lock.chmod(mode)
    model.with_name("model.onnx.lock.pid").write_text("1")
    assert save_as(USER, model) == ""


def test_a_lock_that_only_root_may_read_is_told_how_to_get_rid_of(model: Path) -> None:
    lock = model.with_name("model.onnx.lock")
    lock.touch()
    lock.chmod(0o600)
    assert f"{lock} belongs to another user, who lets nobody read it: remove it" in save_as(USER, model)


def test_a_command_of_roots_that_fails_leaves_nothing_of_roots(model: Path, home: Path) -> None:
    with pytest.raises(ValueError, match="not an ONNX model"):
        storage.save(model, b"nonsense")
    with pytest.raises(ValueError, match="keep must be"), storage.locked(model):
        storage.save(model, model.read_bytes(), keep=-1)
    with pytest.raises(FileNotFoundError):
        storage.rollback(home / "absent.onnx")
    assert {entry.name: belongs(entry)[0] for entry in home.iterdir()} == {
        "model.onnx": USER,
        "model.onnx.lock": USER,
    }


def test_a_generation_of_roots_comes_back_as_the_users(model: Path, make_state: MakeState) -> None:
    """As earlier versions left them."""
    storage.save(model, file_of(make_state(), 2))
    for entry in storage.history(model):
        if not entry.current:
            os.chown(entry.path, 0, 0)
            entry.path.chmod(0o600)
    assert storage.rollback(model).number == 1
    assert belongs(model) == (USER, GROUP, "0o640")


def test_members_of_a_group_save_for_each_other(model: Path, home: Path) -> None:
    home.chmod(0o775)
    model.chmod(0o660)
    assert save_as(STRANGER, model) == ""
    assert belongs(model) == (STRANGER, GROUP, "0o660")
    assert save_as(USER, model) == ""


def test_another_group_gets_nothing_that_was_meant_for_the_files_own(model: Path, home: Path) -> None:
    home.chmod(0o777)
    model.chmod(0o646)
    model.with_name("model.onnx.lock").touch()
    assert save_as(STRANGER, model, group=STRANGER) == ""
    assert belongs(model) == (STRANGER, STRANGER, "0o646")
    os.chown(model, USER, GROUP)
    model.chmod(0o664)
    assert save_as(STRANGER, model, group=STRANGER) == ""
    assert belongs(model) == (STRANGER, STRANGER, "0o644")


def test_a_read_only_model_can_be_locked_by_its_owner(model: Path) -> None:
    model.chmod(0o400)
    assert save_as(USER, model) == ""
    assert belongs(model) == (USER, GROUP, "0o400")


def test_nothing_is_written_through_links(model: Path, home: Path, make_state: MakeState) -> None:
    victim = home / "victim"
    victim.write_text("precious")
    model.with_name("model.onnx.lock.pid").symlink_to(victim)
    storage.save(model, file_of(make_state(), 2))
    assert not os.path.lexists(model.with_name("model.onnx.lock.pid"))
    lock = model.with_name("model.onnx.lock")
    lock.unlink()
    lock.symlink_to(victim)
    with pytest.raises(ValueError, match=r"model\.onnx\.lock is a symbolic link, which a lock must not be"):
        storage.save(model, file_of(make_state(), 3))
    assert victim.read_text() == "precious"
    assert numbers(model) == [2, 1]


def test_ownership_says_what_it_is_not(home: Path, make_state: MakeState) -> None:
    save_several(home / "model.onnx", make_state(), 1)
    assert Ownership(USER, GROUP, 0o644).holds(home / "model.onnx")
    assert not Ownership(USER, 0, 0o644).holds(home / "model.onnx")
    assert Ownership().holds(home / "model.onnx")
    assert current(home / "model.onnx") == 1
