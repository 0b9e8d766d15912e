"""A folder of photos from training to the device: what the file keeps of how pictures become samples."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from ssd_edge.cli import main
from ssd_edge.training import Run
from ssd_edge_runtime import EdgeModel, model_file

RNG = np.random.default_rng(0)
SIZES = [(40, 60), (60, 40), (50, 50), (80, 45)]


def photo(color: int, size: tuple[int, int] = (50, 70)) -> Image.Image:
    """A picture with much of one color."""
    pixels = RNG.integers(0, 100, (*size, 3))
    pixels[..., color] += 150
    return Image.fromarray(pixels.astype(np.uint8))


def fill(folder: Path, sizes: list[tuple[int, int]] = SIZES) -> Path:
    for color, name in enumerate(("red", "green")):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            photo(color, sizes[number % len(sizes)]).save(folder / name / f"{number}.jpg")
    return folder


def edge(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def good(*words: object) -> Result:
    done = edge(*words)
    assert done.exit_code == 0, done.output
    return done


TRAIN = ("--method", "random", "--hidden", 60, "--k", 12, "--tasks", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos of several sizes, and a model of 12 x 12 that was trained on them."""
    place = tmp_path_factory.mktemp("photos")
    fill(place / "photos")
    good("train", place / "photos", *TRAIN, "--image-size", 12, "--image-fit", "pad", "-o", place / "run")
    good("export", place / "run", "-o", place / "model.onnx")
    return place


def test_the_file_tells_how_pictures_are_fitted(place: Path) -> None:
    facts = model_file.describe(place / "model.onnx")["inputs"]
    assert (facts["image_fit"], len(facts["scale"]["least"])) == ("pad", 3)
    assert max(facts["scale"]["most"]) <= 1
    assert "image_size = 12" in (place / "run" / "config.toml").read_text()


def test_every_device_command_takes_pictures_as_they_are(place: Path, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes((place / "model.onnx").read_bytes())
    photo(1, (90, 33)).save(tmp_path / "seen.png")
    answers = json.loads(good("infer", model, tmp_path / "seen.png", place / "photos", "--json").stdout)
    assert answers[0]["label"] == "green"
    assert len(answers) == 21
    assert json.loads(good("eval", model, place / "photos", "--json").stdout)["accuracy"] == 1.0
    (tmp_path / "new" / "blue").mkdir(parents=True)
    for number in range(4):
        photo(2, SIZES[number]).save(tmp_path / "new" / "blue" / f"{number}.png")
    done = good("learn", model, tmp_path / "new", "--json")
    learned = json.loads(done.stdout)
    assert "range" not in done.stderr
    assert "trained on" not in done.stderr
    assert learned["classes_added"] == ["blue"]
    assert EdgeModel.load(model).predict(photo(2)).tolist() == ["blue"]
    assert EdgeModel.load(model).predict(np.asarray(photo(0))).tolist() == ["red"]


def test_sizes_are_decided_and_told_where_nobody_says(tmp_path: Path) -> None:
    done = good("train", fill(tmp_path / "photos"), *TRAIN, "-o", tmp_path / "run")
    assert (
        f"note: {tmp_path / 'photos'}: the pictures differ in size; each is brought to 96 x 96, its middle "
        "(--image-size, --image-fit)" in done.stderr
    )
    assert Run.load(tmp_path / "run").network.input_shape == (3, 96, 96)
    again = good("dataset", tmp_path / "photos", "--image-size", "8x10", "-o", tmp_path / "d.npz")
    assert "note" not in again.stderr
    with np.load(tmp_path / "d.npz") as arrays:
        assert arrays["x"].shape == (16, 3, 8, 10)


@pytest.mark.parametrize(("sizes", "shape"), [([(9, 11)], (3, 9, 11)), ([(300, 280)], (3, 96, 96))])
def test_pictures_of_one_size_stay_unless_they_are_large(
    tmp_path: Path, sizes: list[tuple[int, int]], shape: tuple[int, ...]
) -> None:
    done = good("train", fill(tmp_path / "photos", sizes), *TRAIN, "-o", tmp_path / "run")
    assert ("the pictures have 280 x 300 pixels; each is brought to 96 x 96" in done.stderr) == (shape[1] == 96)
    good("export", tmp_path / "run", "-o", tmp_path / "model.onnx")
    model = EdgeModel.load(tmp_path / "model.onnx")
    assert (model.state.input_shape, model.state.inputs.image_fit) == (shape, "crop")


def test_an_encoder_brings_its_own_size(place: Path, tmp_path: Path) -> None:
    photos = place / "photos"
    tiny = ("--width", 32, "--epochs", 1, "--no-turns", "--tasks", 1)
    good("encoder", photos, "--image-size", "12x16", *tiny, "-o", tmp_path / "encoder.onnx")
    done = good("train", photos, *TRAIN, "--encoder", tmp_path / "encoder.onnx", "-o", tmp_path / "run")
    assert "each is brought to 16 x 12, its middle" in done.stderr
    good("export", tmp_path / "run", "-o", tmp_path / "model.onnx")
    model = EdgeModel.load(tmp_path / "model.onnx")
    assert model.state.inputs.scale is not None
    assert model.predict([photo(0), photo(1, (31, 99))]).shape == (2,)


@pytest.mark.parametrize("text", ["0", "a", "3x", "3x4x5", "-2"])
def test_a_size_that_is_none_is_refused(place: Path, tmp_path: Path, text: str) -> None:
    done = edge("dataset", place / "photos", "--image-size", text, "-o", tmp_path / "d.npz")
    assert done.exit_code == 2
    assert "image-size" in done.stderr


WRONG: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "thousandfold": lambda x: x * 1000,
    "centered": lambda x: x * 2 - 1,
    "mask": lambda x: (x > 0.5).astype(np.uint8),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [*((each, name) for each in ("infer", "eval", "learn", "forget") for name in WRONG), ("bench", "mask")],
)
def test_another_range_is_one_note_or_refused(place: Path, tmp_path: Path, command: str, name: str) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes((place / "model.onnx").read_bytes())
    x = RNG.random((300, 3, 12, 12)).astype(np.float32)
    np.savez(tmp_path / "d.npz", x=WRONG[name](x), y=np.repeat(["red", "green"], 150))
    given = (command, model, *(["--data"] if command in ("forget", "bench") else []), tmp_path / "d.npz")
    if command == "bench":
        given = (*given, "--engines", "csr", "--operations", "start", "--processes", 1, "--seconds", 0.01)
    refused = edge(*given, "--scale-strict")
    assert (refused.exit_code, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "the model was trained on 0" in refused.stderr
    assert "(scale-strict)" in refused.stderr
    told = edge(*given)
    notes = [line for line in told.stderr.splitlines() if "the model was trained on" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: ")


def test_a_stream_is_told_once_and_strict_goes_on(place: Path) -> None:
    lines = "".join(json.dumps({"x": [float(n + 2)] * 432}) + "\n" for n in range(5))
    done = CliRunner().invoke(main, ["infer", str(place / "model.onnx"), "-"], input=lines)
    assert (done.stdout.count("label"), done.stderr.count("note: ")) == (5, 1)
    words = ["infer", str(place / "model.onnx"), "-", "--scale-strict"]
    strict = CliRunner().invoke(main, words, input=lines + json.dumps([0.5] * 432))
    assert (strict.exit_code, strict.stdout.count("(scale-strict)"), strict.stdout.count("label")) == (0, 5, 1)
