"""A model of images takes a camera's picture in every form, in the size and the color that it was trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import analytic_state

from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.input_facts import InputFacts, Way
from ssd_edge_runtime.serving.images import as_pixels

PHOTO = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)
GRAY = PHOTO[..., 0]


def model_of(shape: tuple[int, ...], way: Way | None = "crop") -> EdgeModel:
    state = analytic_state(d=int(np.prod(shape)))
    return EdgeModel(replace(state, input_shape=shape, inputs=InputFacts(image_fit=way)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("way", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (3, 6, 10)])
def test_one_picture_in_every_form(path: Path, shape: tuple[int, ...], way: Way) -> None:
    model = model_of(shape, way)
    image = Image.fromarray(PHOTO)
    fit = model.state.inputs.fit(shape)
    wanted = as_pixels(image, shape[0], fit)[None]
    opaque = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    for form in (image, path, str(path), PHOTO, PHOTO[None], [image], opaque, PHOTO[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(model.as_samples(form), wanted)
    if shape[0] == 3:
        np.testing.assert_array_equal(model.as_samples(PHOTO.transpose(2, 0, 1)), wanted)
    assert model.predict(path).shape == model.predict(image).shape == (1,)
    assert model.predict([image, path]).shape == (2,)
    assert model.predict_one(PHOTO) in model.classes_
    model.partial_fit([image, path], ["a", "b"])
    assert model.classes_[-2:] == ["a", "b"]


def test_gray_without_a_channel_serves_a_model_of_color() -> None:
    model = model_of((3, 8, 8))
    seen = model.as_samples(GRAY)
    assert seen.shape == (1, 3, 8, 8)
    np.testing.assert_array_equal(seen[0, 0], seen[0, 2])
    np.testing.assert_array_equal(model.as_samples(np.stack([GRAY, GRAY]))[1], seen[0])


def test_the_models_own_size_is_not_touched() -> None:
    model = model_of((3, 8, 8))
    x = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(model.as_samples(x), np.moveaxis(x, -1, 1) / np.float32(255))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            np.zeros((3, 9, 3), np.uint8),
            "3 x 9 x 3 may be channels first or channels last: .*channels first.*last",
        ),
        (np.zeros((2, 3, 9, 3), np.uint8), "3 x 9 x 3 may be channels first or channels last"),
        (np.zeros((4, 9, 9), np.uint8), "4 x 9 x 9 may be channels first, or 4 pictures without channels"),
        (np.zeros((2, 9, 9, 3), np.float32), r"\(N, 3 x 8 x 8\), channels first, \(N, 8 x 8 x 3\), channels last"),
        (["nowhere", 3.0], "samples must be numbers|cannot be read as one array"),
    ],
)
def test_what_could_be_two_things_is_refused_with_both(given: object, message: str) -> None:
    with pytest.raises(EdgeModelError, match=message):
        model_of((3, 8, 8)).predict(given)


def test_what_cannot_be_fitted_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgeModelError, match="the picture has 44 x 30 pixels, the model takes 8 x 8"):
        model_of((3, 8, 8), None).predict(path)
    with pytest.raises(EdgeModelError, match=r"the model takes no pictures: samples must have shape \(N, 20\)"):
        model_of((20,), None).predict(path)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(EdgeModelError, match=r"text\.png: not an image that can be read"):
        model_of((3, 8, 8)).predict(tmp_path / "text.png")
    with pytest.raises(FileNotFoundError):
        model_of((3, 8, 8)).predict("missing.png")
