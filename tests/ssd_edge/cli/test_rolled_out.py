"""A roll-out deletes no lessons: the journal of a file that was replaced moves over to the new one, or is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call, refused
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, model_file, storage
from ssd_edge_runtime.checkpoints import Checkpoints, find
from ssd_edge_runtime.storage.journal import journal_path

EVERY = ("--checkpoint-every", "20")


class CutOff(BaseException):
    """Stands for a power cut: nothing that is caught or cleaned up."""


@pytest.fixture(params=["analytic", "gradient"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(kind: str, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(analytic_state() if kind == "analytic" else gradient_state()))
    shutil.copy(path, tmp_path / "old.onnx")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    x, y = samples(1, 100, classes=4)
    np.savez(tmp_path / "data.npz", x=x, y=y, classes=np.array(["0", "1", "2", "fox"]))
    return tmp_path / "data.npz"


@pytest.fixture
def cut_off(model: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model, its learning having died when 40 of 100 samples were on storage."""
    write = Checkpoints.write

    def dying(self: Checkpoints, progress: dict[str, int], *, sync: bool = True) -> None:
        if progress["samples"] == 60:
            raise CutOff
        write(self, progress, sync=sync)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "write", dying)
        with pytest.raises(CutOff):
            call("learn", model, data, *EVERY)
    assert journal_path(model).exists()
    return model


def newer(old: Path, name: str = "new.onnx") -> Path:
    """A new base file with the same features that has learned more, of another class too."""
    path = old.with_name(name)
    x, y = samples(5, 30, classes=5)
    EdgeModel.load(old).partial_fit(x, y).save(path)
    return path


@pytest.mark.parametrize("kind", ["analytic"])
def test_lessons_move_over_to_a_newer_file_with_the_same_features(cut_off: Path, data: Path) -> None:
    new = newer(cut_off.with_name("old.onnx"))
    shutil.copy(new, cut_off)
    before, journal = cut_off.read_bytes(), journal_path(cut_off).read_bytes()
    message = refused("learn", cut_off, data, *EVERY)
    old, now = EdgeModel.load(cut_off.with_name("old.onnx")).digest, EdgeModel.load(new).digest
    assert (
        f"holds 40 samples learned on top of the file {str(old)[:12]}..., but the model is {str(now)[:12]}..."
        in message
    )
    assert message.endswith("--resume adds them to it, exactly; --discard drops them")
    assert (cut_off.read_bytes(), journal_path(cut_off).read_bytes()) == (before, journal)
    result = call("learn", cut_off, data, *EVERY, "--resume", "--json")
    assert "with the same features, so that they move over to it" in result.stderr
    assert json.loads(result.stdout)["resumed"] == 40
    with np.load(data) as arrays:
        expected = EdgeModel.load(new).partial_fit(arrays["x"], arrays["classes"][arrays["y"]])
        learned = EdgeModel.load(cut_off)
        np.testing.assert_allclose(learned.logits(arrays["x"]), expected.logits(arrays["x"]), rtol=1e-3, atol=1e-3)
    counts = dict(zip(learned.classes_, learned.state.class_samples.tolist(), strict=True))
    assert counts == {"0": 51, "1": 51, "2": 51, "3": 6, "4": 6, "fox": 25}
    assert not journal_path(cut_off).exists()


@pytest.mark.parametrize("kind", ["analytic"])
def test_moving_over_survives_being_cut_off_again(
    cut_off: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(newer(cut_off.with_name("old.onnx")), cut_off)

    def dying(self: EdgeModel, *args: object, **kwargs: object) -> int:
        raise CutOff

    with monkeypatch.context() as patch:
        patch.setattr(EdgeModel, "save", dying)
        with pytest.raises(CutOff):
            call("learn", cut_off, data, *EVERY, "--resume")
    found = find(cut_off)
    assert found is not None
    assert found.progress["samples"] == 100
    assert ask("learn", cut_off, data, *EVERY, "--resume")["resumed"] == 100
    assert EdgeModel.load(cut_off).samples_seen_ == 60 + 30 + 100


def test_lessons_for_other_features_are_kept_under_a_name_that_is_told(
    kind: str, cut_off: Path, data: Path, tmp_path: Path
) -> None:
    state = analytic_state(seed=3) if kind == "analytic" else gradient_state(seed=3)
    cut_off.write_bytes(model_file.to_bytes(state))
    assert "--resume keeps them under another name" in refused("learn", cut_off, data, *EVERY)
    result = call("learn", cut_off, data, *EVERY, "--resume", "--json")
    assert json.loads(result.stdout)["resumed"] == 0
    (kept,) = tmp_path.glob("model.onnx.learning-*")
    assert (
        f"are kept as {kept}. Beside a copy of that file, as FILE.learning, they can be resumed" in result.stderr
    )
    old = tmp_path / "old.onnx"
    kept.rename(journal_path(old))
    assert ask("learn", old, data, *EVERY, "--resume")["resumed"] == 40


def test_discard_alone_throws_away(cut_off: Path, data: Path) -> None:
    shutil.copy(newer(cut_off.with_name("old.onnx")), cut_off)
    assert ask("learn", cut_off, data, *EVERY, "--discard")["resumed"] == 0
    assert not journal_path(cut_off).exists()
    assert list(cut_off.parent.glob("model.onnx.learning*")) == []


@pytest.mark.parametrize("kind", ["analytic"])
def test_other_verbs_leave_such_a_journal_where_it_is(cut_off: Path, data: Path) -> None:
    shutil.copy(newer(cut_off.with_name("old.onnx")), cut_off)
    assert call("rename", cut_off, "4", "emu").exit_code == 0
    assert call("rollback", cut_off).exit_code == 0
    assert ask("learn", cut_off, data, *EVERY, "--resume")["resumed"] == 40


@pytest.mark.parametrize("kind", ["analytic"])
def test_what_is_in_the_new_file_already_is_not_learned_twice(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed as it ended, then merged elsewhere, and the merge rolled out."""
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "drop", lambda self: None)
        ask("learn", model, data, *EVERY)
    sent, old = Path(shutil.copy(model, model.with_name("sent.onnx"))), model.with_name("old.onnx")
    merged = EdgeModel.merge([EdgeModel.load(sent), EdgeModel.load(newer(old))], base=EdgeModel.load(old))
    merged.save(model.with_name("merged.onnx"))
    shutil.copy(model.with_name("merged.onnx"), model)
    assert ask("learn", model, data, *EVERY, "--resume")["resumed"] == 100
    assert EdgeModel.load(model).samples_seen_ == 60 + 30 + 100


@pytest.mark.parametrize("kind", ["analytic"])
def test_a_purge_takes_what_was_set_aside_too(cut_off: Path, data: Path) -> None:
    cut_off.write_bytes(model_file.to_bytes(analytic_state(seed=3)))
    ask("learn", cut_off, data, *EVERY, "--resume")
    assert list(cut_off.parent.glob("model.onnx.learning-*"))
    storage.purge(cut_off)
    assert list(cut_off.parent.glob("model.onnx.learning*")) == []


@pytest.mark.parametrize("kind", ["analytic"])
def test_a_stream_moves_over_too(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, _ = samples(3, 5)
    lines = "".join(json.dumps({"x": row.tolist(), "y": "fox"}) + "\n" for row in x)

    def dying(self: EdgeModel, *args: object, **kwargs: object) -> int:
        raise CutOff

    with monkeypatch.context() as patch:
        patch.setattr(EdgeModel, "save", dying)
        with pytest.raises(CutOff):
            call("learn", model, "-", text=lines)
    shutil.copy(newer(model.with_name("old.onnx")), model)
    assert "--resume adds them to it, exactly" in call("learn", model, "-", text="").stderr
    result = call("learn", model, "-", "--resume", text="")
    assert "resumed: 5 samples of" in result.stderr
    learned = EdgeModel.load(model)
    assert learned.samples_seen_ == 60 + 30 + 5
    assert "fox" in learned.classes_
    assert not journal_path(model).exists()
