from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import codecs
from ssd_edge_runtime.sparse.csr import CSRMatrix

VALUES = ("float32", "float16", "int8")
SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 700))
FLOATS = st.floats(-60000, 60000, width=32)


@st.composite
def matrices(draw: st.DrawFn) -> CSRMatrix:
    """Sparse matrices with empty rows anywhere, explicit zeros and distances beyond 255."""
    rows, width = draw(SHAPES)
    flat = sorted(draw(st.sets(st.integers(0, rows * width - 1), max_size=40)))
    values = draw(arrays(np.float32, len(flat), elements=st.floats(-2, 2, width=32)))
    return codecs.matrix_from_flat(np.array(flat, np.int32), values, (rows, width))


@given(matrices())
def test_gaps_give_back_every_position(matrix: CSRMatrix) -> None:
    flat = codecs.flat_indices(matrix)
    codes, entry_at = codecs.encode_gaps(flat)
    assert codes.dtype == np.uint8
    assert len(codes) == matrix.nonzeros + codecs.count_fillers(matrix)
    np.testing.assert_array_equal(codecs.decode_gaps(codes, matrix.shape, "w"), flat)
    # What the graph does: one CumSum over all codes puts each entry, though not each filler, where it belongs.
    np.testing.assert_array_equal(np.cumsum(codes, dtype=np.int64)[entry_at], flat)


@given(matrices())
def test_a_matrix_from_positions_is_the_matrix(matrix: CSRMatrix) -> None:
    dense = np.zeros(matrix.shape, np.float32).reshape(-1)
    dense[codecs.flat_indices(matrix)] = matrix.values
    np.testing.assert_array_equal(matrix.to_dense().reshape(-1), dense)


@pytest.mark.parametrize(
    ("flat", "codes"),
    [
        ([], []),
        ([0], [0]),
        ([254], [254]),
        ([255], [255, 0]),
        ([0, 600], [0, 255, 255, 90]),
        ([3, 4, 769], [3, 1, 255, 255, 255, 0]),
    ],
)
def test_gap_codes_by_hand(flat: list[int], codes: list[int]) -> None:
    assert codecs.encode_gaps(np.array(flat, np.int64))[0].tolist() == codes


@given(
    arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=FLOATS), st.sampled_from(VALUES)
)
def test_rounding_twice_is_rounding_once(array: np.ndarray, values_type: codecs.ValuesType) -> None:
    once = codecs.round_values(array, values_type)
    np.testing.assert_array_equal(codecs.round_values(once, values_type), once)


@given(arrays(np.float32, st.tuples(st.integers(1, 6), st.integers(1, 20)), elements=FLOATS))
def test_each_type_keeps_its_bound(array: np.ndarray) -> None:
    np.testing.assert_array_equal(codecs.round_values(array, "float32"), array)
    half = codecs.round_values(array, "float16")
    np.testing.assert_array_equal(half, array.astype(np.float16).astype(np.float32))
    rows = np.repeat(np.arange(len(array)), array.shape[1])
    scale = codecs.row_scales(array.reshape(-1), rows, len(array)).astype(np.float64)
    error = np.abs(codecs.round_values(array, "int8").astype(np.float64) - array)
    assert (error <= scale[:, None] / 2).all()
    largest = np.abs(array).max(axis=1)
    assert (scale <= np.maximum(largest / 127 * (1 + 2**-16), 2.0**-126)).all()


def test_half_precision_overflow_is_refused_by_name() -> None:
    message = r"hidden1 holds 70000, beyond float16's 65504: store it with values float32"
    with pytest.raises(EdgeModelError, match=message):
        codecs.round_values(np.array([[1.0, 70000.0]]), "float16", "hidden1")


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([3, 255], "ends with a filler"),
        ([3, 0], "names an entry twice"),
        ([0, 254, 254], "runs past the end of the 4 x 100 matrix"),
    ],
)
def test_gap_codes_that_lead_nowhere_are_refused(codes: list[int], message: str) -> None:
    with pytest.raises(EdgeModelError, match=message):
        codecs.decode_gaps(np.array(codes, np.uint8), (4, 100), "hidden1")


@pytest.mark.parametrize(
    ("density", "values_type", "storage"),
    [
        (1.0, "float32", "dense"),
        (0.7, "float16", "dense"),
        (0.6, "float16", "gaps"),
        (0.05, "float16", "gaps"),
        (0.001, "int8", "csr"),
    ],
)
def test_the_smallest_storage_is_chosen(density: float, values_type: codecs.ValuesType, storage: str) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((50, 4000)) < density
    matrix = CSRMatrix.from_dense(rng.random((50, 4000)), mask)
    assert codecs.choose_storage(matrix, values_type) == storage


def test_columns_widen_past_65536() -> None:
    assert codecs.column_type(1 << 16) == "uint16"
    assert codecs.column_type((1 << 16) + 1) == "int32"
