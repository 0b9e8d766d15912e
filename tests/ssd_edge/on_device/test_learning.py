"""``on_device.learn`` as a notebook calls it: files or arrays in, a report out, nothing said behind its back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import analytic_state, samples

from ssd_edge.data import Dataset
from ssd_edge.on_device import Guard, LearnPlan, Loading, Resuming, Saving, learn
from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.storage.journal import journal_path


def test_a_file_is_learned_and_saved(edge_file: Path, data_file: Path) -> None:
    report = learn(edge_file, data_file)
    assert (report["samples"], report["classes_added"], report["kept"]) == (100, ["3"], True)
    assert report["file"] == str(edge_file)
    saved = EdgeModel.load(edge_file)
    assert saved.classes_ == report["classes"] == ["0", "1", "2", "3"]
    assert saved.samples_seen_ == report["samples_seen"] == 160
    assert saved.state.generation == report["generation"]


def test_arrays_and_data_sets_are_what_the_file_is(edge_file: Path, data_file: Path, tmp_path: Path) -> None:
    x, y = samples(1, 100, classes=4)
    labels = [str(label) for label in y]
    forms: dict[str, Any] = {
        "file": str(data_file),
        "arrays": (x, y),
        "lists": (x.tolist(), labels),
        "set": Dataset(x, y, tuple("0123")),
    }
    for name, data in forms.items():
        learn(str(edge_file), data, saving=Saving(tmp_path / f"{name}.onnx"))
    written = {(tmp_path / f"{name}.onnx").read_bytes() for name in forms}
    assert len(written) == 1


def test_another_file_leaves_the_model_as_it_is(edge_file: Path, data_file: Path) -> None:
    before = edge_file.read_bytes()
    output = edge_file.with_name("learned.onnx")
    assert learn(edge_file, data_file, saving=Saving(output))["file"] == str(output)
    assert edge_file.read_bytes() == before
    assert EdgeModel.load(output).classes_[-1] == "3"


def test_a_guard_that_does_not_hold_saves_nothing(edge_file: Path) -> None:
    x, y = samples(2, 60)
    before = edge_file.read_bytes()
    wrong = (np.tile(x, (5, 1)), np.tile((y + 1) % 3, 5))
    report = learn(edge_file, wrong, guard=Guard((x, y), max_drop=0.1))
    assert report["kept"] is False
    assert report["generation"] is None
    assert report["guard"]["before"] - report["guard"]["after"] > 0.1
    assert edge_file.read_bytes() == before
    assert not journal_path(edge_file).exists()
    assert learn(edge_file, (x, y), guard=Guard((x, y), max_drop=0.1))["kept"] is True


def test_progress_counts_the_samples_of_every_pass(gradient_file: Path, data_file: Path) -> None:
    seen: list[tuple[int, int]] = []
    learn(
        gradient_file,
        data_file,
        LearnPlan(epochs=2),
        resuming=Resuming(every=30),
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(done, 200) for done in (30, 60, 90, 100, 130, 160, 190, 200)]


def test_a_note_is_told_to_the_caller_alone(
    edge_file: Path, data_file: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []
    plan = LearnPlan(min_samples=30)
    assert learn(edge_file, data_file, plan, loading=Loading(verify=False), tell=told.append)["withheld"] == {
        "3": 25
    }
    assert told == [
        f"warning: {edge_file}: digest not checked",
        "note: 3 is answered from 30 samples on and has 25",
    ]
    learn(edge_file, data_file)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["edge_file", "gradient_file"])
def test_learning_that_was_cut_off_is_resumed(kind: str, data_file: Path, request: pytest.FixtureRequest) -> None:
    model: Path = request.getfixturevalue(kind)
    whole, told = model.with_name("whole.onnx"), []
    every = Resuming(every=20)
    learn(model, data_file, resuming=every, saving=Saving(whole))
    before = model.read_bytes()

    def cut(done: int, total: int) -> None:
        if done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(model, data_file, resuming=every, tell=told.append, progress=cut)
    assert model.read_bytes() == before
    assert told == [f"{journal_path(model)} holds the last checkpoint: learn the same with --resume"]
    with pytest.raises(OptionError, match="holds 60 samples of learning that was cut off"):
        learn(model, data_file, resuming=every)
    assert learn(model, data_file, resuming=Resuming(resume=True, every=20))["resumed"] == 60
    assert model.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((np.zeros((3, 7), np.float32), [0, 1, 2]), EdgeModelError, "samples must have shape"),
        ((np.zeros((3, 20), np.float32), [0, 1]), EdgeModelError, "3 samples but 2 labels"),
        ((np.full((1, 20), np.nan), [0]), EdgeModelError, "NaN or infinity"),
        ((np.zeros((3, 20), np.float32),), DataError, "data must be (x, y)"),
        (
            Dataset(np.zeros((1, 7), np.float32), np.zeros(1, np.int64), ("0",)),
            DataError,
            "data: samples have shape 7",
        ),
        ("no-such-data", DataError, "no-such-data"),
    ],
)
def test_what_cannot_be_learned_changes_nothing(edge_file: Path, data: Any, error: type, message: str) -> None:
    before = edge_file.read_bytes()
    with pytest.raises(error) as raised:
        learn(edge_file, data)
    assert message in str(raised.value)
    assert edge_file.read_bytes() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LearnPlan(epochs=0), "epochs must be at least 1, got 0"),
        (lambda: LearnPlan(seed=-1), "seed must be 0 or more, got -1"),
        (lambda: Guard("x.npz", 2.0), "max-drop must be between 0 and 1, got 2.0"),
        (lambda: Resuming(every=0), "checkpoint-every must be at least 1, got 0"),
        (lambda: Resuming(seconds=0), "checkpoint-seconds must be positive, got 0"),
        (lambda: Resuming(resume=True, discard=True), "resume and discard exclude each other"),
        (lambda: Saving(keep=-1), "keep must be 0 or more, got -1"),
        (lambda: Saving(lock_timeout=-1), "lock-timeout must be 0 or more, got -1"),
    ],
)
def test_options_say_which_rule_they_break(make: Any, message: str) -> None:
    with pytest.raises(OptionError) as raised:
        make()
    assert str(raised.value) == message


@pytest.mark.slow
def test_labels_cost_time_in_proportion(tmp_path: Path) -> None:
    """Sixteen thousand classes opened at once; a square law would take sixteen times as long, not four."""

    def seconds(count: int) -> float:
        path = tmp_path / f"{count}.onnx"
        path.write_bytes(model_file.to_bytes(analytic_state()))
        x = np.random.default_rng(0).random((count, 20), np.float32)
        begun = time.process_time()
        learn(path, (x, [f"c{number}" for number in range(count)]))
        return time.process_time() - begun

    seconds(100)
    assert seconds(16_000) < 8 * seconds(4000)
