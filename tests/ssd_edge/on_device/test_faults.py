"""Each system call of a verb fails in turn: an error says so, and the same asked for again ends as if none had."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults import Fault, attempt
from small_models import samples

from ssd_edge.on_device import (
    Resuming,
    Saving,
    forget,
    history,
    learn,
    merge,
    once,
    purge,
    rebase,
    rename,
    rollback,
)
from ssd_edge_runtime import EdgeModel, storage
from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.storage import intents
from ssd_edge_runtime.storage.journal import journal_path

Verb = Callable[[Path], dict[str, Any]]
LESSON = samples(4, 30)
VERBS: dict[str, Verb] = {
    "rename": lambda model: rename(model, "0", "zero"),
    "forget a class": lambda model: forget(model, "1"),
    "forget samples": lambda model: forget(model, data=LESSON),
    "forget a class for good": lambda model: forget(model, "1", purge=True),
    "forget samples for good": lambda model: forget(model, data=LESSON, purge=True),
    "forget into another file": lambda model: forget(
        model, "1", purge=True, saving=Saving(model.with_name("out.onnx"))
    ),
    "rollback": rollback,
    "rollback by name": lambda model: rollback(model, 1),
    "purge": lambda model: purge(model) | {"purged": None},
    "rebase": lambda model: rebase(model, model.with_name("old.onnx"), model.with_name("new.onnx"), model),
    "rebase into another file": lambda model: rebase(
        model, model.with_name("old.onnx"), model.with_name("new.onnx"), model.with_name("out.onnx")
    ),
    "merge": lambda model: merge(
        [model, model.with_name("new.onnx")], model.with_name("old.onnx"), model.with_name("out.onnx")
    ),
}
FULL = ("forget a class for good", "rollback", "rebase into another file", "merge")
"""Verbs that by default meet a disk that is full rather than one that fails; the slow tests take the others."""


@pytest.fixture
def kept(edge_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model that learned the lesson twice, its earlier generations, and two files of its line."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    old, new = edge_file.with_name("old.onnx"), edge_file.with_name("new.onnx")
    shutil.copy(edge_file, old)
    learn(edge_file, samples(5, 20), saving=Saving(new))
    for _ in range(2):
        learn(edge_file, LESSON)
    folder = tmp_path / "kept"
    folder.mkdir()
    shutil.move(edge_file, folder)
    shutil.move(edge_file.with_name("model.onnx.generations"), folder)
    for file in (old, new):
        shutil.move(file, folder)
    return folder


def restored(kept: Path) -> Path:
    """The model in a folder as it was."""
    folder = kept.with_name("work")
    shutil.rmtree(folder, ignore_errors=True)
    return Path(shutil.copytree(kept, folder)) / "model.onnx"


def found(folder: Path) -> dict[str, bytes]:
    """What stands there, but for locks and who held them."""
    files = (entry for entry in folder.rglob("*") if entry.is_file() and ".lock" not in entry.name)
    return {str(entry.relative_to(folder)): entry.read_bytes() for entry in files}


CASES = [
    pytest.param(
        name,
        code,
        id=f"{name}-{errno.errorcode[code]}",
        marks=[pytest.mark.slow] if (code == errno.ENOSPC) != (name in FULL) else [],
    )
    for name in VERBS
    for code in (errno.EIO, errno.ENOSPC)
]


@pytest.mark.parametrize(("name", "code"), CASES)
def test_a_verb_that_failed_may_be_repeated(kept: Path, name: str, code: int) -> None:
    def told(model: Path) -> dict[str, Any]:
        return VERBS[name](model) | {"time": None}

    model = restored(kept)
    wanted, end, index, failures = told(model), found(model.parent), 0, 0
    while True:
        model, fault, heard = restored(kept), Fault(index, code), [{}]
        if not attempt(lambda at=model, to=heard: to.append(told(at)), fault):
            failures += 1
            heard.append(told(model))
        assert heard[-1] == wanted, index
        left = found(model.parent)
        missing = set(end) - set(left)
        assert left.items() <= end.items(), index
        # A disk that is full costs earlier generations.
        assert not missing or (code == errno.ENOSPC and all("generations" in name for name in missing)), index
        if not fault.hit:
            break
        index += 1
    assert failures > 5


def test_what_was_reported_is_not_taken_for_a_repetition(kept: Path) -> None:
    model = restored(kept)
    assert [rollback(model)["generation"] for _ in range(2)] == [2, 1]
    rename(model, "0", "zero")
    with pytest.raises(EdgeModelError, match="unknown class '0'"):
        rename(model, "0", "zero")
    assert forget(model, "1")["classes"] == ["zero", "2"]
    with pytest.raises(EdgeModelError, match="unknown class '1'"):
        forget(model, "1", purge=True)
    assert not intents.note_path(model).exists()


def refuse(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, "no more")


def test_samples_are_not_unlearned_twice(kept: Path) -> None:
    model = restored(kept)
    before = EdgeModel.load(model).samples_seen_
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(once, "conclude", refuse)
        with pytest.raises(OSError, match="no more"):
            forget(model, data=LESSON)
    assert forget(model, data=LESSON)["samples_seen"] == before - 30
    assert forget(model, data=LESSON)["samples_seen"] == before - 60


def test_another_change_first_finishes_what_was_cut_off(kept: Path) -> None:
    model = restored(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "purge", refuse)
        with pytest.raises(OSError, match="no more"):
            forget(model, "1", purge=True)
    assert [row["generation"] for row in history(model)["generations"]] == [4, 3, 2, 1]
    learn(model, LESSON)
    assert [row["generation"] for row in history(model)["generations"]] == [5, 4]
    assert rollback(model)["classes"] == ["0", "2"]


def test_a_purge_for_something_else_finishes_the_one_before(kept: Path) -> None:
    model = restored(kept)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage, "purge", refuse)
        with pytest.raises(OSError, match="no more"):
            forget(model, "1", purge=True)
    assert forget(model, "0")["classes"] == ["2"]
    assert [row["classes"] for row in history(model)["generations"]] == [["2"], ["0", "2"]]


def test_purge_keeps_lessons_that_could_be_resumed(kept: Path) -> None:
    model = restored(kept)
    with pytest.raises(KeyboardInterrupt):
        learn(model, LESSON, resuming=Resuming(every=8), progress=stop_at(16))
    for verb in (purge, VERBS["forget a class for good"]):
        with pytest.raises(OptionError, match=r"model\.onnx\.learning holds 16 samples .* finish it with"):
            verb(model)
    assert learn(model, LESSON, resuming=Resuming(resume=True, every=8))["resumed"] == 16
    assert purge(model)["purged"] == 3
    assert not journal_path(model).exists()


def test_purge_keeps_lessons_for_a_file_that_was_replaced(kept: Path) -> None:
    model = restored(kept)
    with pytest.raises(KeyboardInterrupt):
        learn(model, LESSON, resuming=Resuming(every=8), progress=stop_at(16))
    rollback(model)
    for verb in (purge, VERBS["forget a class for good"]):
        with pytest.raises(OptionError, match=r"holds 16 samples .* or drop it with --discard"):
            verb(model)
    assert journal_path(model).exists()
    assert forget(model, "1")["purged"] is False


def test_everything_stands_beside_the_file_that_a_link_leads_to(kept: Path, tmp_path: Path) -> None:
    model, link = restored(kept), tmp_path / "links" / "latest.onnx"
    link.parent.mkdir()
    link.symlink_to(model)
    with pytest.raises(KeyboardInterrupt):
        learn(link, LESSON, resuming=Resuming(every=8), progress=stop_at(16))
    with pytest.raises(OptionError, match="holds 16 samples"):
        rename(model, "0", "zero")
    assert learn(model, LESSON, resuming=Resuming(resume=True, every=8))["resumed"] == 16
    assert forget(link, "1", purge=True)["file"] == str(link)
    assert history(model) | {"file": None} == history(link) | {"file": None}
    assert list(link.parent.iterdir()) == [link]
    assert set(found(model.parent)) == {"model.onnx", "new.onnx", "old.onnx"}


def stop_at(samples: int) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done >= samples:
            raise KeyboardInterrupt

    return progress


def test_a_damaged_file_is_not_purged(kept: Path) -> None:
    model = restored(kept)
    model.write_bytes(model.read_bytes()[:-1] + b"\xff")
    with pytest.raises(EdgeModelError, match="digest mismatch"):
        purge(model)
    assert rollback(model)["generation"] == 2
    with pytest.raises(FileNotFoundError):
        purge(model.with_name("absent.onnx"))
