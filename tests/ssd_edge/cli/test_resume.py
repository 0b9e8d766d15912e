"""What ``learn`` says and does where another ``learn`` was cut off."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ask, call, refused
from small_models import analytic_state, gradient_state, samples

from ssd_edge.cli import main
from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.checkpoints import Checkpoints, find
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path

EVERY = ("--checkpoint-every", "20")
CUT_OFF = 3


class CutOff(BaseException):
    """Stands for a power cut: nothing that is caught or cleaned up."""


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes are compared, and the hour must not change between two commands."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")


@pytest.fixture(params=["analytic", "gradient"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, tmp_path: Path) -> Path:
    state = analytic_state() if kind == "analytic" else gradient_state()
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(state))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data.npz", 1)


def write_data(path: Path, seed: int) -> Path:
    x, y = samples(seed, 100, classes=4)
    np.savez(path, x=x, y=y, classes=np.array(list("0123")))
    return path


@pytest.fixture
def undisturbed(model: Path, data: Path, tmp_path: Path) -> bytes:
    """What the model becomes by the same learning without anything happening."""
    twin = tmp_path / "twin" / "model.onnx"
    twin.parent.mkdir()
    shutil.copy(model, twin)
    ask("learn", twin, data, *EVERY)
    return twin.read_bytes()


@pytest.fixture
def cut_off(model: Path, data: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model after ``learn`` died at its third checkpoint, 40 of 100 samples being on storage."""
    write, drop = Checkpoints.write, Checkpoints.drop

    def dying(self: Checkpoints, progress: dict[str, int]) -> None:
        if progress["samples"] == 20 * CUT_OFF:
            raise CutOff
        write(self, progress)

    monkeypatch.setattr(Checkpoints, "write", dying)
    monkeypatch.setattr(Checkpoints, "drop", lambda self: None)
    with pytest.raises(CutOff):
        call_through("learn", model, data, *EVERY)
    monkeypatch.setattr(Checkpoints, "write", write)
    monkeypatch.setattr(Checkpoints, "drop", drop)
    assert journal_path(model).exists()
    return model


def call_through(*args: object) -> None:
    main([str(arg) for arg in args], standalone_mode=False)


def test_resume_goes_on_and_ends_with_the_same_bytes(cut_off: Path, data: Path, undisturbed: bytes) -> None:
    report = ask("learn", cut_off, data, *EVERY, "--resume")
    assert report["resumed"] == 40
    assert report["samples"] == 100
    assert report["classes_added"] == ["3"]
    assert cut_off.read_bytes() == undisturbed
    assert not journal_path(cut_off).exists()


def test_learning_again_unasked_is_refused(cut_off: Path, data: Path) -> None:
    before = cut_off.read_bytes()
    message = refused("learn", cut_off, data, *EVERY)
    assert "holds 40 samples of learning that was cut off: --resume goes on with it, --discard starts" in message
    assert cut_off.read_bytes() == before


def test_discard_starts_over(cut_off: Path, data: Path, undisturbed: bytes) -> None:
    assert ask("learn", cut_off, data, *EVERY, "--discard")["resumed"] == 0
    assert cut_off.read_bytes() == undisturbed


def test_other_data_options_or_models_are_refused(cut_off: Path, data: Path, tmp_path: Path) -> None:
    other = write_data(tmp_path / "other.npz", 2)
    assert "was begun with other data: resume with the same" in refused(
        "learn", cut_off, other, *EVERY, "--resume"
    )
    assert "with seed 0, not 5" in refused("learn", cut_off, data, *EVERY, "--seed", 5, "--resume")
    assert "with checkpoint-every 20, not None" in refused("learn", cut_off, data, "--resume")


def test_nothing_to_resume(model: Path, data: Path) -> None:
    assert "nothing to resume: there is no" in refused("learn", model, data, "--resume")


def test_other_changes_of_the_file_wait_for_it(cut_off: Path) -> None:
    for command in (("rename", cut_off, "0", "zero"), ("forget", cut_off, "--class", "0")):
        assert "samples of learning that was cut off: finish it with ssd-edge learn --resume" in refused(*command)
    assert call("rename", cut_off, "0", "zero", "-o", cut_off.with_name("out.onnx")).exit_code == 0
    journal_path(cut_off).unlink()
    assert call("rename", cut_off, "0", "zero").exit_code == 0


def test_a_record_cut_off_in_writing_is_dropped(cut_off: Path, data: Path, undisturbed: bytes) -> None:
    journal = journal_path(cut_off)
    if len(Journal.open(journal)) == 2:
        pytest.skip("a gradient readout's only checkpoint is replaced as a whole")
    journal.write_bytes(journal.read_bytes()[:-5])
    assert ask("learn", cut_off, data, *EVERY, "--resume")["resumed"] == 20
    assert cut_off.read_bytes() == undisturbed


def test_killed_between_saving_and_saying_so(
    model: Path, data: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Checkpoints.drop
    monkeypatch.setattr(Checkpoints, "drop", lambda self: None)
    ask("learn", model, data, *EVERY)
    monkeypatch.setattr(Checkpoints, "drop", drop)
    assert model.read_bytes() == undisturbed
    assert "has learned just this" in refused("learn", model, data, *EVERY)
    report = ask("learn", model, data, *EVERY, "--resume")
    assert report["resumed"] == report["samples"] == 100
    assert model.read_bytes() == undisturbed
    assert not journal_path(model).exists()


def test_after_that_other_data_is_learned_without_ado(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop = Checkpoints.drop
    monkeypatch.setattr(Checkpoints, "drop", lambda self: None)
    ask("learn", model, data, *EVERY)
    monkeypatch.setattr(Checkpoints, "drop", drop)
    assert ask("learn", model, write_data(tmp_path / "other.npz", 2), *EVERY)["resumed"] == 0
    assert EdgeModel.load(model).samples_seen_ == EdgeModel.load(model).state.samples_seen
    assert not journal_path(model).exists()


def test_a_damaged_journal_is_named(cut_off: Path, data: Path) -> None:
    journal_path(cut_off).write_bytes(b"ssd-edge journal 1\n" + bytes(100))
    assert "is damaged from its first record on" in refused("learn", cut_off, data, *EVERY, "--resume")
    assert ask("learn", cut_off, data, *EVERY, "--discard")["resumed"] == 0


def test_an_error_before_any_checkpoint_leaves_nothing(model: Path, data: Path, monkeypatch: Any) -> None:
    def failing(self: Checkpoints, progress: dict[str, int]) -> None:
        raise OSError(28, "No space left on device", str(self.path))

    monkeypatch.setattr(Checkpoints, "write", failing)
    before = model.read_bytes()
    assert "model.onnx.learning: No space left on device" in refused("learn", model, data, *EVERY)
    assert model.read_bytes() == before
    assert not journal_path(model).exists()


def test_a_time_bound_makes_checkpoints_too(model: Path, data: Path) -> None:
    assert ask("learn", model, data, "--checkpoint-seconds", "1e-9")["checkpoints"] >= 1
    assert ask("learn", model, data, "--checkpoint-seconds", "1e9")["checkpoints"] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_only_the_owner_reads_a_journal(cut_off: Path) -> None:
    assert stat.S_IMODE(journal_path(cut_off).stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["analytic"])
def test_a_checkpoint_costs_what_was_learned(cut_off: Path) -> None:
    """About 6 bytes for each of the k = 6 codes of 20 samples, and a head; the state has 4 kB."""
    journal = Journal.open(journal_path(cut_off))
    assert [len(journal[index]) < 20 * 6 * 6 + 20 * 4 + 400 for index in (1, 2)] == [True, True]


@pytest.mark.parametrize("kind", ["analytic"])
def test_forget_purge_takes_no_lessons_with_it(cut_off: Path, data: Path) -> None:
    EdgeModel.load(cut_off).rename("0", "zero").save(cut_off)
    assert "holds 40 samples of learning" in refused("forget", cut_off, "--class", "1", "--purge")
    ask("learn", cut_off, data, *EVERY, "--resume")
    assert call("forget", cut_off, "--class", "1", "--purge").exit_code == 0
    assert not journal_path(cut_off).exists()


def lines(*names: str) -> str:
    x, _ = samples(3, len(names))
    return "".join(json.dumps({"x": row.tolist(), "y": name}) + "\n" for row, name in zip(x, names, strict=True))


@pytest.mark.parametrize("kind", ["analytic"])
def test_a_stream_is_resumed_with_all_that_it_acknowledged(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, close = EdgeModel.save, "ssd_edge.on_device.stream_checkpoints.StreamStore.close"

    def dying(self: EdgeModel, *args: Any, **kwargs: Any) -> int:
        raise CutOff

    monkeypatch.setattr(EdgeModel, "save", dying)
    monkeypatch.setattr(close, lambda self, failed=False: None)
    with pytest.raises(CutOff):
        call("learn", model, "-", "--checkpoint-every", 2, text=lines("0", "9", "9", "0", "1"))
    monkeypatch.undo()
    assert EdgeModel.save is save
    found = find(model)
    assert found is not None
    assert found.progress == {"samples": 5}
    assert "holds 5 samples" in call("learn", model, "-", text="").stderr
    result = call("learn", model, "-", "--resume", text=lines("1"))
    assert "resumed: 5 samples of" in result.stderr
    assert json.loads(result.stdout.splitlines()[-1])["resumed"] == 5
    learned = EdgeModel.load(model)
    assert learned.classes_ == ["0", "1", "2", "9"]
    assert learned.samples_seen_ == 60 + 6
    assert not journal_path(model).exists()


@pytest.mark.parametrize("kind", ["analytic"])
def test_a_stream_saves_the_file_when_its_journal_has_grown(model: Path) -> None:
    result = call("learn", model, "-", "--checkpoint-every", 1, text=lines(*["0"] * 60))
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["stored"] for row in rows] == [*range(1, 61), 60]
    assert 2 < rows[-1]["generation"] < 20
    assert EdgeModel.load(model).samples_seen_ == 120


def test_a_stream_resumes_nothing_in_silence(model: Path) -> None:
    assert call("learn", model, "-", "--resume", "--checkpoint-every", 5, text=lines("0")).exit_code == 0


def test_records_of_another_model_are_refused(model: Path, kind: str) -> None:
    other = EdgeModel(gradient_state() if kind == "analytic" else analytic_state())
    edge = EdgeModel.load(model)
    before = model_file.to_bytes(edge.state)
    other.record({})
    record = other.partial_fit(*samples(0, 10)).record({"samples": 10})
    assert records.decode(record)[0]["progress"] == {"samples": 10}
    with pytest.raises(ValueError, match="not of this model"):
        edge.replay(record)
    assert model_file.to_bytes(edge.state) == before
