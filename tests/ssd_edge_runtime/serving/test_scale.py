"""Values in another range than those trained on are told, refused or, where they are pixels, brought there."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from small_models import analytic_state

from ssd_edge_runtime import EdgeModel, EdgeModelError, ScaleWarning
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.input_facts import InputFacts, Scale

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (40, 1, 4, 5)).astype(np.uint8)
PIXELS[:, 0, 0] = 0
IMAGES = PIXELS / np.float32(255)
SENSOR = (RNG.normal(size=(60, 2, 10)) * np.array([[1.0], [200.0]]) + [[0.0], [1000.0]]).astype(np.float32)
COUNTS = RNG.integers(-2048, 2048, (60, 2, 10)).astype(np.float32)
SIGNED = IMAGES * 2 - 1


def model_for(x: np.ndarray) -> EdgeModel:
    """A model 20 -> 30 that was trained on such values."""
    shape = x.shape[1:]
    return EdgeModel(
        replace(analytic_state(), input_shape=shape, inputs=InputFacts(Scale.of(x.astype(np.float32))))
    )


WRONG = {
    "0 to 255, with fractions": (IMAGES, IMAGES * 254.5, "from 0 to 254.5, and the model was trained on 0 to 1"),
    "-1 to 1": (IMAGES, SIGNED, "values from -1 to 1, and the model was trained on 0 to 1"),
    "a mask of bytes": (IMAGES, (IMAGES > 0.5).astype(np.uint8), "values from 0 to 0.00392157, and"),
    "a mask of floats": (IMAGES, (IMAGES > 0.5).astype(np.float32), "values are 0 and 1 alone, and the model was"),
    "a mask of truth values": (IMAGES, IMAGES > 0.5, "values are 0 and 1 alone"),
    "percent": (IMAGES, IMAGES * 100, "values from 0 to 100, and"),
    "divided twice": (IMAGES, IMAGES / 255, "values from 0 to 0.00392157, and"),
    "standardized": (IMAGES, (IMAGES - 0.13) / 0.31, "values from -0.419355 to 2.80645"),
    "0 to 1 for -1 to 1": (SIGNED, IMAGES, "0 to 1, none below 0, and the model was trained on -1 to 1"),
    "16 bits": (IMAGES, PIXELS.astype(np.uint16) * 257, "values from 0 to 65535, and"),
    "pascal for hectopascal": (SENSOR, SENSOR * [[1.0], [100.0]], "channel 2: values from"),
    "channels exchanged": (SENSOR, SENSOR[:, ::-1], "channel 1: values from"),
    "volts for counts": (COUNTS, COUNTS / 2048, "0.999512, and the model was trained on -2046 to 2047"),
    "one value gone astray": (SENSOR, np.where(np.arange(600).reshape(60, 1, 10) == 7, 1e7, SENSOR), "channel 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_another_range_is_told(name: str) -> None:
    trained, given, message = WRONG[name]
    model = model_for(trained)
    with pytest.warns(ScaleWarning, match=message.replace("(", r"\(")):
        model.predict(given)
    model.scale_check = "strict"
    before = model.samples_seen_
    with pytest.raises(EdgeModelError, match=r"\(scale-strict\)"):
        model.partial_fit(given, ["0"] * len(given))
    assert model.samples_seen_ == before
    model.scale_check = "off"
    model.predict(given)


RIGHT = {
    "the same": (IMAGES, IMAGES),
    "one of them": (IMAGES, IMAGES[3]),
    "bytes": (IMAGES, PIXELS),
    "all black": (IMAGES, np.zeros_like(IMAGES)),
    "a dim one": (IMAGES, IMAGES[:1] / 20),
    "masks for a model of masks": (np.float32(IMAGES > 0.5), np.float32(IMAGES > 0.5)),
    "integers of a sensor": (COUNTS, COUNTS.astype(np.int16)),
    "a stronger signal": (SENSOR, SENSOR * [[1.4], [1.0]]),
    "at rest": (COUNTS, COUNTS // 64),
    "a few outliers": (SENSOR, np.where(np.arange(1200).reshape(60, 2, 10) == 3, 12.0, SENSOR)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_may_well_be_meant_is_not_told(name: str) -> None:
    trained, given = RIGHT[name]
    model_for(trained).predict(given)


@pytest.mark.parametrize("kind", ["int64", "uint16", "float32", "float16"])
def test_pixels_of_any_type_are_divided_and_that_is_said(kind: str) -> None:
    model = model_for(IMAGES)
    told = "whole numbers from 0 to 255 were divided by 255, as uint8 is: the model was trained on 0 to 1"
    with pytest.warns(ScaleWarning, match=told):
        logits = model.logits(PIXELS.astype(kind))
    np.testing.assert_allclose(logits, model.logits(PIXELS), rtol=1e-6)
    with pytest.warns(ScaleWarning, match=told):
        np.testing.assert_allclose(model.as_samples(PIXELS.astype(kind)), IMAGES, rtol=1e-6)


def test_no_other_numbers_are_divided() -> None:
    """Of a sensor, of a model trained on bytes, and few gray levels are what they are."""
    sensor = model_for(SENSOR * 0)
    small = PIXELS[:1] // 16
    for model, given in ((sensor, PIXELS.reshape(-1, 2, 10)), (model_for(IMAGES), small)):
        with pytest.warns(ScaleWarning, match="the model was trained on"):
            assert model.as_samples(given.astype(int)).max() == given.max()
    np.testing.assert_array_equal(model_for(PIXELS).as_samples(PIXELS.astype(int)), PIXELS)


def test_files_that_tell_nothing_say_nothing() -> None:
    model = EdgeModel(analytic_state())
    with warnings.catch_warnings(action="error"):
        model.predict(np.full((2, 20), 1e6))


def test_the_choice_is_checked() -> None:
    model = model_for(IMAGES)
    model.scale_check = "on"  # type: ignore[assignment]
    with pytest.raises(OptionError, match="scale_check must be one of warn, strict, off, got 'on'"):
        model.predict(np.zeros((1, *model.state.input_shape), np.float32))


@pytest.mark.parametrize("shape", [(7,), (3, 5), (3, 2, 2), (100, 4)])
def test_the_range_is_that_of_each_channel(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=(2500, *shape)).astype(np.float32)
    scale = Scale.of(x)
    channels = shape[0] if len(shape) > 1 and shape[0] <= 64 else 1
    values = np.moveaxis(x.reshape(len(x), channels, -1), 1, 0).reshape(channels, -1).astype(np.float64)
    for found, wanted in (
        (scale.least, values.min(1)),
        (scale.most, values.max(1)),
        (scale.mean, values.mean(1)),
        (scale.deviation, values.std(1)),
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert not scale.whole
    assert Scale.of(np.rint(x)).whole
