"""A class is called the same at every door, however its name is typed; what is no name is refused at each."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import ask, refused
from PIL import Image
from small_models import analytic_state

from ssd_edge.cli import main
from ssd_edge.data import Dataset, load_data
from ssd_edge.on_device import forget, learn, merge, rename
from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.errors import SSDEdgeError

CAFE, TYPED = "café", " cafe\N{COMBINING ACUTE ACCENT}\t"
X = np.random.default_rng(0).random((4, 12), np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    state = analytic_state(d=12)
    state.input_shape = (1, 3, 4)
    path.write_bytes(model_file.to_bytes(state))
    return path


def known(model: Path) -> list[str]:
    return EdgeModel.load(model).classes_[3:]


def send(model: Path, lesson: str | bytes) -> None:
    """Teach one lesson of a stream; raises what it answers where that is an error."""
    done = CliRunner().invoke(main, ["learn", str(model), "-"], input=lesson)
    told = json.loads(done.stdout.splitlines()[0])
    if "error" in told:
        raise SSDEdgeError(told["error"])


def by_stream(model: Path, name: object) -> None:
    send(model, json.dumps({"x": X[0].tolist(), "y": name}) + "\n")


def by_frames(model: Path, name: object) -> None:
    sent = io.BytesIO()
    np.save(sent, X[0])
    np.save(sent, np.array([name]))
    send(model, sent.getvalue())


def by_file(write: Callable[[Path, object], Path]) -> Callable[[Path, object], None]:
    def teach(model: Path, name: object) -> None:
        learn(model, write(model.parent, name))

    return teach


def npz_labels(folder: Path, name: object) -> Path:
    np.savez(folder / "d.npz", x=X, y=np.array([name] * 4))
    return folder / "d.npz"


def npz_names(folder: Path, name: object) -> Path:
    np.savez(folder / "d.npz", x=X, y=[0] * 4, classes=np.array([name]))
    return folder / "d.npz"


def table(folder: Path, name: object) -> Path:
    rows = [",".join([*map(str, row), f'"{name}"']) for row in X.tolist()]
    (folder / "d.csv").write_text("\n".join([",".join(f"v{i}" for i in range(12)) + ",label", *rows]) + "\n")
    return folder / "d.csv"


def images(folder: Path, name: object) -> Path:
    (folder / "photos" / str(name)).mkdir(parents=True)
    Image.new("L", (4, 3), 90).save(folder / "photos" / str(name) / "1.png")
    return folder / "photos"


def renamed(model: Path, name: object) -> None:
    learn(model, (X, ["other"] * 4))
    rename(model, "other", str(name))


def merged(model: Path, name: object) -> None:
    base = model.with_name("base.onnx")
    base.write_bytes(model.read_bytes())
    other = model.with_name("other.onnx")
    other.write_bytes(model.read_bytes())
    learn(other, (X, ["other"] * 4))
    learn(model, (X, ["0"] * 4))
    merge([model, other], base, model, rename={"other.onnx": {"other": str(name)}}, force=True)


DOORS: dict[str, Callable[[Path, object], object]] = {
    "partial_fit": lambda model, name: EdgeModel.load(model).partial_fit(X, [name] * 4).save(model),
    "arrays": lambda model, name: learn(model, (X, [name] * 4)),
    "data set": lambda model, name: learn(model, Dataset(X, np.zeros(4, np.int64), (str(name),))),
    "a stream of lines": by_stream,
    "a stream of arrays": by_frames,
    "labels in an archive": by_file(npz_labels),
    "names in an archive": by_file(npz_names),
    "a table": by_file(table),
    "folders": by_file(images),
    "rename": renamed,
    "merge": merged,
}


@pytest.mark.parametrize("door", DOORS)
def test_one_spelling(model: Path, door: str) -> None:
    DOORS[door](model, TYPED)
    assert known(model) == [CAFE]


@pytest.mark.parametrize("name", ["nan", "a\x1bb", "  ", "x" * 1001, "a\u2028b"], ids=lambda name: ascii(name)[:9])
@pytest.mark.parametrize("door", [door for door in DOORS if door != "folders"])
def test_what_is_no_name(model: Path, door: str, name: str) -> None:
    before = model.read_bytes()
    with pytest.raises(SSDEdgeError, match=r"name|label") as caught:
        DOORS[door](model, name)
    assert "\n" not in str(caught.value) and "\x1b" not in str(caught.value)
    if door not in ("rename", "merge"):  # which have learned the class before
        assert model.read_bytes() == before


@pytest.mark.parametrize("label", [None, True, float("nan"), 0.5, {}], ids=str)
@pytest.mark.parametrize("door", ["partial_fit", "arrays", "a stream of lines"])
def test_what_is_no_label(model: Path, door: str, label: object) -> None:
    if door == "a stream of lines" and label is None:
        pytest.skip("a line without a label asks what it is")
    with pytest.raises(SSDEdgeError, match="label"):
        DOORS[door](model, label)
    assert known(model) == []


def test_classes_are_asked_for_as_they_are_typed(model: Path, tmp_path: Path) -> None:
    learn(model, (X, [CAFE, CAFE, "tea", "tea"]))
    learn(model, (X, ["cup"] * 4))
    assert forget(model, TYPED, data=(X[:2], [CAFE, CAFE]))["unlearned"] == 2
    assert known(model) == ["tea", "cup"]
    assert forget(model, [" cup"])["forgotten"] == ["cup"]
    data = tmp_path / "d.npz"
    np.savez(data, x=X, y=np.array([CAFE, "tea"] * 2))
    for option in (("--classes", TYPED), ("--class-order", f"tea,{TYPED}", "--tasks", "2", "--task", "2")):
        part = tmp_path / f"{len(option)}.npz"
        ask("dataset", data, *option, "-o", part)
        assert load_data(part).classes == (CAFE,)
    assert "no class 'jug'" in refused("dataset", data, "--classes", "jug", "-o", tmp_path / "other.npz")
