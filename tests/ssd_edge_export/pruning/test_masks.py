"""Criteria and budgets as functions of arrays."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd_edge_export.pruning import budget, importance


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 30),
    st.floats(0.01, 1.0),
    st.sampled_from(["row", "layer", "global"]),
    st.integers(0, 2**32 - 1),
)
def test_budget_keeps_exactly_its_share(rows, width, density, kind, seed):
    rng = np.random.default_rng(seed)
    scores = [rng.random((rows, width)), rng.random((3, rows))]
    masks = budget.masks(scores, [density] * len(scores), kind)
    assert [mask.shape for mask in masks] == [s.shape for s in scores]
    if kind == "row":
        for mask, s in zip(masks, scores, strict=True):
            assert (mask.sum(axis=1) == max(1, round(density * s.shape[1]))).all()
    elif kind == "layer":
        assert [m.sum() for m in masks] == [max(1, round(density * s.size)) for s in scores]
    else:
        assert sum(m.sum() for m in masks) == max(1, round(density * sum(s.size for s in scores)))


@pytest.mark.parametrize("kind", ["row", "layer"])
def test_budget_keeps_the_most_important(kind):
    scores = np.array([[3.0, 1.0, 2.0, 0.0], [9.0, 8.0, 7.0, 6.0]])
    mask = budget.masks([scores], [0.5], kind)[0]
    wanted = {"row": [[1, 0, 1, 0], [1, 1, 0, 0]], "layer": [[0, 0, 0, 0], [1, 1, 1, 1]]}
    np.testing.assert_array_equal(mask, np.array(wanted[kind], bool))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_firing_shares_are_exact_and_bounded(counts, width, seed):
    rng = np.random.default_rng(seed)
    most = rng.integers(1, width + 1, len(counts))
    least = np.minimum(rng.integers(1, width + 1, len(counts)), most)
    total = int(rng.integers(least.sum(), most.sum() + 1))
    shares = budget.firing_shares(np.array(counts), least, most, total)
    assert shares.sum() == total
    assert (least <= shares).all() and (shares <= most).all()


def test_firing_shares_follow_the_root_of_the_counts():
    least, most = np.full(5, 2), np.full(5, 100)
    shares = budget.firing_shares(np.array([900, 400, 100, 0, 0]), least, most, 64)
    np.testing.assert_array_equal(shares, [30, 20, 10, 2, 2])
    full = budget.firing_shares(np.array([900, 400, 100, 0, 0]), least, most, 340)
    np.testing.assert_array_equal(full, [100, 100, 100, 20, 20])
    np.testing.assert_array_equal(
        budget.firing_shares(np.zeros(5, np.int64), least, most, 52), [11, 11, 10, 10, 10]
    )


def test_firing_budget_keeps_each_rows_best():
    scores = np.array([[3.0, 1.0, 2.0, 0.0], [9.0, 8.0, 7.0, 6.0]])
    mask = budget.masks([scores], [0.5], "firing", [np.array([1, 3])])[0]
    np.testing.assert_array_equal(mask, np.array([[1, 0, 0, 0], [1, 1, 1, 0]], bool))


def test_global_budget_compares_layers_on_one_scale():
    scores = np.random.default_rng(0).random((10, 10))
    masks = budget.masks([scores, 1000.0 * scores], [0.3, 0.3], "global")
    np.testing.assert_array_equal(masks[0], masks[1])


def test_ties_go_to_the_lower_index():
    np.testing.assert_array_equal(budget.masks([np.zeros((1, 4))], [0.5], "row")[0], [[True, True, False, False]])


def test_activity_is_frequency_times_weight_times_input():
    weight = np.array([[1.0, -2.0], [3.0, 4.0]], np.float32)
    active_input = np.array([[0.5, 0.25], [0.0, 0.0]])
    scores = importance.activity(weight, active_input, np.array([1.0, 2.0]))
    np.testing.assert_allclose(scores[0], [0.5, 0.5])
    np.testing.assert_allclose(scores[1], importance.NEVER_ACTIVE * np.array([3.0, 8.0]))


def test_random_takes_nonzero_weights_first():
    weight = np.array([[0.0, 1.0, 0.0, -1.0]], np.float32)
    for seed in range(5):
        scores = importance.random(weight, np.random.default_rng(seed))
        np.testing.assert_array_equal(budget.masks([scores], [0.5], "row")[0], [[False, True, False, True]])


def test_sampled_draws_in_proportion_to_the_root_of_the_weight():
    weight = np.tile(np.array([[1.0, 4.0, 0.0]], np.float32), (20000, 1))
    first = importance.sampled(weight, np.random.default_rng(0)).argmax(axis=1)
    share = np.bincount(first, minlength=3) / len(first)
    np.testing.assert_allclose(share, [1 / 3, 2 / 3, 0.0], atol=0.015)
