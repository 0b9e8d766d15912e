"""The closed-form readout: statistics against their definition, solutions against theirs, and the algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import analytic_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, analytic
from ssd_edge_runtime.analytic import gram
from ssd_edge_runtime.analytic.solver import _probes
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.topk import top_k


def codes_of(seed: int, count: int, n: int, k: int) -> np.ndarray:
    h = np.random.default_rng(seed).standard_normal((count, n)).astype(np.float32)
    return top_k(np.ascontiguousarray(h.T), k).to_dense()


def noisy_codes(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    h = points + rng.standard_normal(points.shape).astype(np.float32)
    return top_k(np.ascontiguousarray(h.T), 20).to_dense()


def full(packed: np.ndarray, n: int) -> np.ndarray:
    lower = gram.unpack(packed, n)
    return np.tril(lower) + np.tril(lower, -1).T


@pytest.mark.parametrize(("n", "k"), [(12, 3), (40, 30), (300, 200)])
def test_statistics_are_their_definition(n: int, k: int) -> None:
    z = codes_of(0, 50, n, k)
    y = np.arange(50) % 3
    statistics = analytic.gather(z, y, 4)
    exact = z.astype(np.float64)
    np.testing.assert_allclose(full(statistics.gram, n), exact.T @ exact, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(statistics.class_sums, np.eye(4)[y].T @ exact, rtol=1e-13)
    np.testing.assert_array_equal(statistics.class_counts, [17, 17, 16, 0])


def test_scatter_and_product_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = Codes.from_dense(codes_of(1, 30, 50, 20))
    scattered, product = np.zeros((2, gram.packed_size(50)))
    for packed, scatter in ((scattered, True), (product, False)):
        monkeypatch.setattr(gram, "scatter_is_cheaper", lambda codes, scatter=scatter: scatter)
        gram.add_samples(packed, codes)
    np.testing.assert_allclose(scattered, product, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(
    ("n", "k", "batch", "scatter"),
    [
        (1000, 100, 1, True),
        (1000, 10, 167, True),
        (2000, 200, 167, False),
        (300, 60, 8, True),
        (300, 60, 64, False),
    ],
)
def test_the_way_that_was_measured_to_be_faster_is_taken(n: int, k: int, batch: int, scatter: bool) -> None:
    codes = Codes.from_dense(np.repeat(np.arange(n)[None] < k, batch, axis=0).astype(np.float32))
    assert gram.scatter_is_cheaper(codes) is scatter


def test_ridge_is_regularized_least_squares() -> None:
    z = codes_of(2, 80, 20, 6).astype(np.float64)
    y = np.arange(80) % 3
    statistics = analytic.gather(z.astype(np.float32), y, 3)
    weights, bias = analytic.solve(statistics, AnalyticOptions("ridge", 0.01))
    strength = 0.01 * np.trace(z.T @ z) / 20
    stacked = np.vstack([z, np.sqrt(strength) * np.eye(20)])
    targets = np.vstack([np.eye(3)[y], np.zeros((20, 3))])
    expected = np.linalg.lstsq(stacked, targets, rcond=None)[0].T
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(bias, 0.0)


def test_lda_is_the_gaussian_discriminant_with_equal_priors() -> None:
    z = codes_of(3, 90, 20, 6).astype(np.float64)
    y = np.r_[np.zeros(60, int), np.ones(20, int), np.full(10, 2)]
    weights, bias = analytic.solve(analytic.gather(z.astype(np.float32), y, 3), AnalyticOptions("lda", 0.01))
    mean = np.stack([z[y == c].mean(axis=0) for c in range(3)])
    centered = z - mean[y]
    covariance = (centered.T @ centered + 0.01 * np.trace(z.T @ z) / 20 * np.eye(20)) / 90
    inverse = np.linalg.inv(covariance)
    np.testing.assert_allclose(weights, mean @ inverse, rtol=1e-4)
    squared = np.einsum("ci,ij,cj->c", mean, inverse, mean)
    freedom = np.trace(inverse @ (centered.T @ centered / 90))
    np.testing.assert_allclose(bias, -0.5 * (squared - freedom / np.bincount(y)), rtol=1e-4)


def test_the_trace_is_estimated_well_for_many_neurons() -> None:
    z = codes_of(3, 2000, 300, 60).astype(np.float64)
    matrix = np.linalg.inv(z.T @ z + 5.0 * np.eye(300))
    probes = _probes(300)
    assert np.vdot(probes, probes @ matrix) == pytest.approx(np.trace(matrix), rel=0.05)
    np.testing.assert_array_equal(_probes(20), np.eye(20))


def test_lda_never_answers_a_class_without_samples() -> None:
    z = codes_of(3, 40, 20, 6)
    weights, bias = analytic.solve(analytic.gather(z, np.arange(40) % 2, 3), AnalyticOptions())
    assert ((z @ weights.T + bias).argmax(axis=1) != 2).all()


def untaught(values_type: str, scale: float) -> EdgeModel:
    """A model of two classes that has seen nothing; codes ``scale`` times as long."""
    state = analytic_state(classes=2, solver="lda")
    state.layers[0].weights.values[:] *= scale
    state.statistics = analytic.empty(30, 2)
    state.class_samples = np.zeros(2, np.int64)
    state.readout.weights[:], state.readout.bias = 0.0, np.zeros(2, np.float32)
    state.values_type = values_type  # type: ignore[assignment]
    return EdgeModel(state)


@pytest.mark.parametrize("values_type", ["float32", "float16", "int8"])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_samples_gives_an_answer(values_type: str, count: int) -> None:
    model = untaught(values_type, 1e-3)
    x, y = samples(3, 40, classes=2)
    assert model.predict(x).tolist() == ["0"] * 40
    for _ in range(2):
        model.partial_fit(x[1 : 2 * count : 2], y[1 : 2 * count : 2])
        assert model.predict(x).tolist() == ["1"] * 40, "class 0 was never shown"
        np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1.0, rtol=1e-6)
    model.partial_fit(x[::2], y[::2])
    assert model.score(x, y) > 0.75


def test_devices_that_saw_one_sample_each_merge() -> None:
    x, y = samples(3, 2, classes=2)
    one, other = untaught("float16", 1e-5).learn_one(x[0], y[0]), untaught("float16", 1e-5).learn_one(x[1], y[1])
    merged = EdgeModel.merge([one, other], base=untaught("float16", 1e-5))
    assert merged.state.values_type == "float32"
    assert merged.predict(x).tolist() == ["0", "1"]


def test_lda_answers_a_class_shown_ten_times_beside_thousands() -> None:
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((3, 60)).astype(np.float32)
    y = np.r_[np.arange(4000) % 2, np.full(10, 2)]
    z = noisy_codes(centers[y], rng)
    statistics = analytic.gather(z, y, 3)
    test = noisy_codes(np.repeat(centers[2:], 200, axis=0), rng)
    recalls = {}
    for solver in ("lda", "ridge"):
        weights, bias = analytic.solve(statistics, AnalyticOptions(solver))
        recalls[solver] = ((test @ weights.T + bias).argmax(axis=1) == 2).mean()
    assert recalls["lda"] > 0.5
    assert recalls["ridge"] < 0.1


def test_statistics_that_are_not_positive_are_refused() -> None:
    statistics = analytic.gather(codes_of(4, 30, 10, 4), np.arange(30) % 2, 2)
    statistics.gram[gram.packed_size(3) - 1] = -50.0
    with pytest.raises(EdgeModelError, match="not positive"):
        analytic.solve(statistics, AnalyticOptions())


def learned(*parts: tuple[np.ndarray, np.ndarray], solver: str = "lda") -> EdgeModel:
    model = EdgeModel(analytic_state(solver=solver))
    for x, y in parts:
        model.partial_fit(x, y)
    return model


def assert_same_answers(a: EdgeModel, b: EdgeModel, tolerance: float = 1e-5) -> None:
    x, _ = samples(77, 25)
    assert set(a.classes_) == set(b.classes_)
    order = [b.classes_.index(name) for name in a.classes_]
    one, other = a.logits(x), b.logits(x)[:, order]
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * np.abs(one).max())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), solver=st.sampled_from(["lda", "ridge"]), cut=st.integers(1, 29))
def test_the_order_of_samples_does_not_matter(seed: int, solver: str, cut: int) -> None:
    x, y = samples(3, 30, classes=5)
    order = np.random.default_rng(seed).permutation(30)
    shuffled = learned((x[order][:cut], y[order][:cut]), (x[order][cut:], y[order][cut:]), solver=solver)
    assert_same_answers(learned((x, y), solver=solver), shuffled)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 30), solver=st.sampled_from(["lda", "ridge"]))
def test_unlearning_equals_never_having_seen(seed: int, count: int, solver: str) -> None:
    x, y = samples(seed, count, classes=5)
    kept, base = learned(samples(3, 20), solver=solver), learned(samples(3, 20), solver=solver)
    kept.partial_fit(x, y).unlearn(x, y)
    assert kept.classes_ == base.classes_
    assert_same_answers(kept, base)
    one, other = kept.state, base.state
    np.testing.assert_array_equal(one.layers[0].activation_count, other.layers[0].activation_count)
    np.testing.assert_array_equal(one.layers[0].class_count, other.layers[0].class_count)
    assert (one.samples_seen, one.task_samples) == (other.samples_seen, other.task_samples)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_one_by_one_equals_at_once(seed: int) -> None:
    x, y = samples(seed, 12, classes=4)
    model = learned()
    for one, label in zip(x, y, strict=True):
        model.learn_one(one, label)
    together = learned((x, y))
    assert_same_answers(model, together)
    np.testing.assert_array_equal(model.state.layers[0].class_count, together.state.layers[0].class_count)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), sizes=st.lists(st.integers(1, 12), min_size=3, max_size=3))
def test_merge_is_associative_and_equals_one_device(seed: int, sizes: list[int]) -> None:
    x, y = samples(seed, sum(sizes), classes=6)
    cuts = np.cumsum(sizes)[:-1]
    parts = list(zip(np.split(x, cuts), np.split(y, cuts), strict=True))
    a, b, c = (learned(part) for part in parts)
    base = learned()
    together = EdgeModel.merge([a, b, c], base=base)
    stepwise = EdgeModel.merge([EdgeModel.merge([a, b], base=base), c], base=base)
    one = learned((x, y))
    assert_same_answers(together, stepwise)
    assert_same_answers(together, one)
    assert together.samples_seen_ == one.samples_seen_
    order = [together.classes_.index(name) for name in one.classes_]
    np.testing.assert_array_equal(together.state.layers[0].class_count[order], one.state.layers[0].class_count)


def test_five_devices_two_classes_each_equal_one_and_can_be_unlearned() -> None:
    x, y = samples(5, 200, classes=10)
    pairs = [np.isin(y, [2 * i, 2 * i + 1]) for i in range(5)]
    devices = [learned((x[mask], y[mask])) for mask in pairs]
    merged = EdgeModel.merge(devices, base=learned())
    assert_same_answers(merged, learned((x, y)))
    merged.unlearn(x[pairs[4]], y[pairs[4]])
    assert_same_answers(merged, EdgeModel.merge(devices[:4], base=learned()))
    assert "9" not in merged.classes_


def test_many_blocks_equal_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from ssd_edge_runtime.network import forward

    x, y = samples(5, 100, classes=5)
    whole = learned((x, y))
    monkeypatch.setattr(forward, "BLOCK_VALUES", 1)
    assert_same_answers(whole, learned((x, y)))


def test_layers_too_wide_for_statistics_are_refused() -> None:
    with pytest.raises(EdgeModelError, match=r"30000 neurons would keep 3\.6 GB of statistics"):
        analytic.empty(30_000, 2)


REFUSALS = {
    "never learned": (
        lambda m: m.unlearn(np.random.default_rng(1).random((3, 20)), [0, 1, 2]),
        "their class was never so active",
    ),
    "too many": (lambda m: m.unlearn(*samples(0, 200)), "more samples of a class"),
    "unknown": (lambda m: m.unlearn(np.ones(20), "nobody"), "unknown class 'nobody'"),
    "everything": (lambda m: m.unlearn(*samples(0, 60)), "every sample"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_unlearning_what_cannot_be_is_refused_and_changes_nothing(case: str) -> None:
    model = learned()
    x, _ = samples(9, 10)
    before, kept = model.logits(x), model.state.statistics.gram.copy()  # type: ignore[union-attr]
    act, message = REFUSALS[case]
    with pytest.raises(EdgeModelError, match=message):
        act(model)
    np.testing.assert_array_equal(model.state.statistics.gram, kept)  # type: ignore[union-attr]
    np.testing.assert_array_equal(model.logits(x), before)


def test_samples_of_float_codes_that_were_never_learned_are_refused_by_definiteness() -> None:
    model = EdgeModel(analytic_state(code_bits=None))
    kept = model.state.statistics.gram.copy()  # type: ignore[union-attr]
    with pytest.raises(EdgeModelError, match="no longer positive"):
        model.unlearn(np.random.default_rng(1).random((3, 20)), [0, 1, 2])
    np.testing.assert_array_equal(model.state.statistics.gram, kept)  # type: ignore[union-attr]


def test_forgetting_takes_the_class_mean_out_of_the_statistics() -> None:
    model = learned(samples(4, 40, classes=4))
    before = model.state.statistics
    assert before is not None
    model.forget(3)
    after = model.state.statistics
    assert after is not None
    mean = before.class_sums[3] / before.class_counts[3]
    expected = full(before.gram, 30) - before.class_counts[3] * np.outer(mean, mean)
    # What is taken away is rounded to what codes of 16 bits have products of.
    np.testing.assert_allclose(full(after.gram, 30), expected, rtol=0, atol=1.001 * 2.0**-33)
    assert model.classes_ == ["0", "1", "2"]
    assert set(model.predict(samples(8, 30, classes=4)[0])) <= {"0", "1", "2"}
    model.partial_fit(*samples(4, 40, classes=4))
    assert model.classes_ == ["0", "1", "2", "3"]


def test_a_correction_is_unlearn_and_learn() -> None:
    x, y = samples(4, 30, classes=4)
    wrong = y.copy()
    wrong[:3] = [3, 3, 0]
    model = learned((x, wrong))
    model.unlearn(x[:3], wrong[:3]).partial_fit(x[:3], y[:3])
    assert_same_answers(model, learned((x, y)))


def test_merge_refuses_other_features_options_and_forgotten_classes() -> None:
    base = learned()
    other = EdgeModel(analytic_state(seed=1))
    with pytest.raises(EdgeModelError, match="model 1 has other hidden weights"):
        EdgeModel.merge([other], base=base)
    with pytest.raises(EdgeModelError, match="model 2 has other analytic options"):
        EdgeModel.merge([learned(), learned(solver="ridge")], base=base)
    with pytest.raises(EdgeModelError, match="model 1 has no class '1'"):
        EdgeModel.merge([learned().forget(1)], base=base)
    with pytest.raises(EdgeModelError, match="at least one"):
        EdgeModel.merge([], base=base)
