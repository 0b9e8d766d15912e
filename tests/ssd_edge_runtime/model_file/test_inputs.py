"""What a file tells of its inputs comes back as it was, and what no file may tell is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forged import edited_manifest, refuse
from small_models import analytic_state

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.input_facts import UNKNOWN, Fit, InputFacts, Scale, Windows
from ssd_edge_runtime.model_file.header import read_header

SCALE = Scale.of(np.random.default_rng(0).normal(size=(9, 2, 10)).astype(np.float32))
FACTS = {
    "scale": ((2, 10), InputFacts(SCALE)),
    "windows": ((2, 10), InputFacts(SCALE, windows=Windows(10, 5, ("ax", "ay"), "run"))),
    "windows of whatever is measured": ((4, 5), InputFacts(windows=Windows(5, 1))),
    "pictures": ((1, 4, 5), InputFacts(image_fit="pad")),
}


@pytest.mark.parametrize("name", FACTS)
def test_facts_are_kept(name: str) -> None:
    shape, facts = FACTS[name]
    data = model_file.to_bytes(replace(analytic_state(), input_shape=shape, inputs=facts))
    loaded = model_file.from_bytes(data)
    assert loaded.inputs == facts
    assert model_file.to_bytes(loaded) == data
    assert model_file.describe(data)["inputs"] == json.loads(json.dumps(model_file.describe(data)["inputs"]))


def test_a_file_without_facts_has_no_key() -> None:
    data = model_file.to_bytes(analytic_state())
    assert b'"inputs"' not in data
    assert read_header(data).manifest.inputs == UNKNOWN


def test_pictures_come_to_the_size_of_a_sample() -> None:
    assert FACTS["pictures"][1].fit((1, 4, 5)) == Fit(4, 5, "pad")
    assert UNKNOWN.fit((1, 4, 5)) is None


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "key": (lambda d: d.update(more=1), "inputs holds 'more', which is not understood"),
    "numbers": (lambda d: d["scale"].update(least=[0, "1"]), "inputs.scale.least must be numbers"),
    "channels": (lambda d: d["scale"].update(mean=[0.0]), "inputs.scale.mean must have 2 numbers, got 1"),
    "many": (lambda d: d["scale"].update(mean=[0.0] * 65), "inputs.scale.mean must be a list"),
    "order": (lambda d: d["scale"].update(least=[9, 9]), "inputs.scale.least must not be above"),
    "deviation": (lambda d: d["scale"].update(deviation=[-1, 0]), "inputs.scale.deviation must not be negative"),
    "flag": (lambda d: d["scale"].update(whole=1), "inputs.scale.whole must be true or false"),
    "lacks": (lambda d: d["scale"].pop("most"), "inputs.scale lacks 'most'"),
    "pictures": (lambda d: d.update(image_fit="crop"), "inputs.image_fit goes with images"),
    "way": (lambda d: d.update(image_fit="twist"), "inputs.image_fit must be one of crop, pad, stretch"),
    "length": (lambda d: d["windows"].update(length=11), r"inputs.windows makes samples of \(2, 11\)"),
    "none": (lambda d: d["windows"].update(stride=0), "inputs.windows: stride must be at least 1, got 0"),
    "names": (lambda d: d["windows"].update(channels=[1, 2]), "inputs.windows.channels must be strings"),
    "twice": (lambda d: d["windows"].update(channels=["a", "a"]), "inputs.windows: channels name a twice"),
    "control": (lambda d: d["windows"].update(group="a\nb"), "cannot be the name of a column"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_facts_of_no_sample_are_refused(name: str) -> None:
    change, message = REFUSED[name]
    shape, facts = FACTS["windows"]
    state = replace(analytic_state(), input_shape=shape, inputs=facts)
    refuse(edited_manifest(state, lambda document: change(document["inputs"])), message)


def test_sizes_that_are_none_are_refused() -> None:
    for make, message in (
        (lambda: Fit(0, 3), "image-size must be at least 1, got 0"),
        (lambda: Windows(0, 1), "window must be at least 1, got 0"),
    ):
        with pytest.raises(OptionError, match=message):
            make()
    with pytest.raises(EdgeModelError, match=r"inputs\.scale\.most must be finite"):
        state = replace(analytic_state(), input_shape=(2, 10), inputs=InputFacts(replace(SCALE, most=(1, np.inf))))
        model_file.to_bytes(state)
