"""The temperature of the probabilities."""

import numpy as np
import pytest

from ssd_edge_export.assembly.temperature import calibration_error, cross_entropy, fit_temperature


@pytest.mark.parametrize("scale", [0.05, 1.0, 30.0])
def test_temperature_undoes_a_scale(scale):
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((20000, 4))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    y = (chances.cumsum(1) > rng.random((20000, 1))).argmax(1)
    found = fit_temperature(scale * logits, y)
    assert found == pytest.approx(scale, rel=0.05)
    best = cross_entropy(scale * logits / found, y)
    assert best <= min(cross_entropy(scale * logits / (found * f), y) for f in (0.9, 1.1))
    assert calibration_error(scale * logits / found, y) < 0.02


def test_temperature_of_nothing_is_one():
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, np.int64)) == 1.0
    assert fit_temperature(np.ones((5, 1)), np.zeros(5, np.int64)) == 1.0
