"""The detector of changed streams: false alarms as rare as stated, real changes found."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import gradient_state, samples

from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.detector import POWERS, LossDetector, _bet


def test_bets_are_fair() -> None:
    places = (np.arange(200_000) + 0.5) / 200_000
    assert np.mean([_bet(p) for p in places]) == pytest.approx(1.0, abs=0.02)
    assert len(POWERS) == 3


@pytest.mark.parametrize("draw", ["gamma", "constant", "heavy"])
def test_false_alarms_are_at_most_as_frequent_as_stated(draw: str) -> None:
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        losses = {"gamma": rng.gamma(0.5, 1.0, 2000), "constant": np.zeros(2000), "heavy": rng.pareto(1.0, 2000)}
        detector = LossDetector(samples_per_false_alarm=500, seed=seed)
        alarms += sum(detector.update([loss]) for loss in losses[draw])
    assert alarms <= 30 * 2000 / 500


@pytest.mark.parametrize(("scale", "delay"), [(2.0, 300), (5.0, 60)])
def test_a_rise_of_the_loss_is_found(scale: float, delay: int) -> None:
    rng = np.random.default_rng(0)
    detector = LossDetector(samples_per_false_alarm=10_000)
    assert not detector.update(rng.gamma(0.5, 1.0, 1000))
    assert detector.update(rng.gamma(0.5, scale, delay))


def test_falling_losses_raise_no_alarm() -> None:
    rng = np.random.default_rng(0)
    assert not LossDetector(1000).update(rng.random(3000) * np.linspace(1.0, 0.1, 3000))


def test_a_seed_repeats_a_run_and_bad_rates_are_refused() -> None:
    one, other = LossDetector(100, seed=1), LossDetector(100, seed=1)
    losses = np.random.default_rng(0).integers(0, 3, 2000).astype(float)
    assert [one.update([v]) for v in losses] == [other.update([v]) for v in losses]
    with pytest.raises(ValueError, match="more than 1, got 1"):
        LossDetector(samples_per_false_alarm=1)


def test_a_stream_that_changes_its_look_opens_a_boundary() -> None:
    model = EdgeModel(gradient_state(widths=(60,)))
    model.detector = LossDetector(samples_per_false_alarm=5000)
    for seed in range(60):
        model.partial_fit(*samples(seed, 8))
    assert model.state.teacher is None, "nothing has changed yet"
    for seed in range(20):
        x, y = samples(seed, 8)
        model.partial_fit(x[:, ::-1], (y + 1) % 3)
    assert model.state.teacher is not None
