"""Class balance and a minimum of samples under the closed-form readout."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, analytic
from ssd_edge_runtime.analytic.gram import unpack
from ssd_edge_runtime.errors import FewSamplesWarning, OptionError
from ssd_edge_runtime.options import AnalyticOptions, Priors, Solver
from ssd_edge_runtime.state import Statistics


def codes(seed: int, counts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Dense codes of overlapping classes of so many samples each, and labels."""
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    points = np.random.default_rng(0).standard_normal((len(counts), 24))
    z = np.maximum(points[y] + 1.5 * rng.standard_normal((len(y), 24)), 0.0)
    return z.astype(np.float32), y


def solved(statistics: Statistics, solver: Solver, priors: Priors, z: np.ndarray) -> np.ndarray:
    weights, bias = analytic.solve(statistics, AnalyticOptions(solver, priors=priors))
    return z @ weights.T + bias


def test_priors_by_count_shift_the_logits_of_lda_by_their_logarithm() -> None:
    z, y = codes(1, [300, 100, 20])
    statistics = analytic.gather(z, y, 3)
    shift = solved(statistics, "lda", "counts", z) - solved(statistics, "lda", "equal", z)
    np.testing.assert_allclose(shift, np.tile(np.log(np.array([300, 100, 20]) / 420), (420, 1)), atol=1e-3)
    np.testing.assert_array_equal(solved(statistics, "lda", "solver", z), solved(statistics, "lda", "equal", z))


def test_balanced_ridge_is_weighted_least_squares_with_pooled_scatter() -> None:
    z, y = codes(1, [300, 100, 20])
    statistics = analytic.gather(z, y, 3)
    exact = z.astype(np.float64)
    mean = np.stack([exact[y == c].mean(axis=0) for c in range(3)])
    centered = exact - mean[y]
    gram = centered.T @ centered + 140 * mean.T @ mean
    gram += 1e-3 * np.trace(exact.T @ exact) / 24 * np.eye(24)
    expected = z @ np.linalg.solve(gram, 140 * mean.T)
    np.testing.assert_allclose(solved(statistics, "ridge", "equal", z), expected, rtol=1e-4, atol=1e-5)
    lower = unpack(statistics.gram, 24)
    np.testing.assert_allclose(np.tril(lower), np.tril(exact.T @ exact), rtol=1e-12)


def test_with_as_many_samples_in_each_class_the_balance_changes_nothing() -> None:
    z, y = codes(1, [80, 80, 80])
    statistics = analytic.gather(z, y, 3)
    for solver in ("lda", "ridge"):
        equal = solved(statistics, solver, "equal", z)  # type: ignore[arg-type]
        counts = solved(statistics, solver, "counts", z)  # type: ignore[arg-type]
        constant = np.log(3) if solver == "lda" else 0.0
        np.testing.assert_allclose(equal - constant, counts, atol=1e-3)


@pytest.mark.parametrize("solver", ["lda", "ridge"])
def test_equal_priors_answer_a_rare_class_more_often(solver: Solver) -> None:
    statistics = analytic.gather(*codes(1, [2000, 2000, 20]), 3)
    z, y = codes(2, [200, 200, 200])
    recalls = {
        priors: float((solved(statistics, solver, priors, z).argmax(axis=1) == 2)[y == 2].mean())
        for priors in ("equal", "counts")
    }
    assert recalls["equal"] > recalls["counts"] + 0.2


@pytest.mark.parametrize("solver", ["lda", "ridge"])
def test_a_class_is_answered_from_its_minimum_on(solver: Solver) -> None:
    model = EdgeModel(analytic_state(solver=solver))
    model.analytic = AnalyticOptions(solver, 1e-2, min_samples=5)
    x, y = samples(4, 80, classes=4)
    new = x[y == 3]
    with pytest.warns(FewSamplesWarning, match=r"'3' \(4 samples\)"):
        model.partial_fit(new[:4], ["3"] * 4)
    assert model.withheld_ == {"3": 4}
    assert "3" not in model.predict(new)
    assert (model.predict_proba(new)[:, 3] == 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(x[y != 3], y[y != 3]).learn_one(new[4], 3)
    assert model.withheld_ == {}
    unrestricted = EdgeModel(analytic_state(solver=solver)).partial_fit(new[:4], [3] * 4)
    unrestricted.partial_fit(x[y != 3], y[y != 3]).learn_one(new[4], 3)
    np.testing.assert_array_equal(model.logits(x), unrestricted.logits(x))


def test_where_no_class_has_the_minimum_the_largest_are_answered() -> None:
    model = EdgeModel(analytic_state())
    x, _ = samples(4, 30)
    before = model.predict(x)
    model.analytic = AnalyticOptions("lda", 1e-2, min_samples=1000)
    np.testing.assert_array_equal(model.predict(x), before)


def test_options_stay_in_the_file_and_absent_ones_are_the_defaults(tmp_path: Path) -> None:
    x, _ = samples(4, 30)
    model = EdgeModel(analytic_state())
    model.analytic = AnalyticOptions("ridge", 1e-2, "equal", 3)
    model.save(tmp_path / "model.onnx")
    again = EdgeModel.load(tmp_path / "model.onnx")
    assert again.analytic == AnalyticOptions("ridge", 1e-2, "equal", 3)
    np.testing.assert_array_equal(again.logits(x), model.logits(x))
    again.analytic = AnalyticOptions()
    again.save(tmp_path / "model.onnx")
    data = (tmp_path / "model.onnx").read_bytes()
    assert b'"analytic":{"rho":0.001,"solver":"lda"}' in data


def test_bad_options_change_nothing() -> None:
    from small_models import gradient_state

    with pytest.raises(OptionError, match="min-samples must be at least 1, got 0"):
        AnalyticOptions(min_samples=0)
    with pytest.raises(OptionError, match="priors must be one of solver, equal, counts"):
        AnalyticOptions(priors="none")  # type: ignore[arg-type]
    model = EdgeModel(gradient_state())
    with pytest.raises(EdgeModelError, match="gradient readout"):
        model.analytic = AnalyticOptions()
    assert model.analytic is None and model.withheld_ == {}
    state = analytic_state()
    state.statistics = None
    model = EdgeModel(state)
    with pytest.raises(EdgeModelError, match="no learning state"):
        model.analytic = AnalyticOptions("ridge")
    assert model.analytic is not None and model.analytic.solver == "lda"
