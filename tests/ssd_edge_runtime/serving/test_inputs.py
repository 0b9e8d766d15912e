"""What people hand in as samples and labels: the same answers whatever library or order they come in."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array
from small_models import analytic_state

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.serving.inputs import as_samples
from ssd_edge_runtime.serving.labels import as_names

X = np.random.default_rng(0).normal(size=(4, 2, 3)).astype(np.float32)
FLAT = X.reshape(4, 6)


@dataclass(frozen=True)
class Kind:
    """A column's type, as pandas has it."""

    kind: str


@dataclass(frozen=True)
class Frame:
    """What a data frame shows of itself."""

    values: np.ndarray
    columns: list[str]
    dtypes: list[Any]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values.astype(dtype or self.values.dtype)


class Tensor:
    """A tensor within a graph: it must leave that before it becomes an array."""

    dtype = "torch.float32"

    def detach(self) -> np.ndarray:
        return X

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad.")


FORMS = {
    "float64": X.astype(np.float64),
    "longdouble": X.astype(np.longdouble),
    "big-endian": X.astype(">f8"),
    "Fortran order": np.asfortranarray(X),
    "every second": np.repeat(X, 2, axis=0)[::2],
    "backwards": np.ascontiguousarray(X[:, ::-1])[:, ::-1],
    "read-only": np.frombuffer(X.tobytes(), np.float32).reshape(X.shape),
    "unaligned": np.frombuffer(b"?" + X.tobytes(), np.float32, offset=1).reshape(X.shape),
    "list of arrays": list(X),
    "tuples": tuple(map(tuple, FLAT.tolist())),
    "memory view": memoryview(X),
    "matrix": FLAT.view(np.matrix),
    "masked, nothing hidden": np.ma.masked_array(X, mask=False),
    "sparse": csr_array(FLAT),
    "tensor in a graph": Tensor(),
    "frame of objects": Frame(FLAT.astype(object), list("abcdef"), [Kind("f")] * 5 + [Kind("i")]),
    "channels last": np.moveaxis(X, 1, -1),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_numbers_in_another_form(form: str) -> None:
    rows = as_samples(FORMS[form], (2, 3), 6)
    assert (rows.dtype, rows.flags.c_contiguous) == (np.float32, True)
    np.testing.assert_array_equal(rows, FLAT)


def test_half_precision_and_truth_values_are_numbers() -> None:
    np.testing.assert_array_equal(as_samples(X.astype(np.float16), (2, 3), 6), FLAT.astype(np.float16))
    np.testing.assert_array_equal(as_samples(X > 0, (2, 3), 6), FLAT > 0)


def test_torch() -> None:
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X)
    for form in (
        x,
        x.clone().requires_grad_(),
        x.permute(2, 0, 1).contiguous().permute(1, 2, 0),
        list(x),
        x.double(),
    ):
        np.testing.assert_array_equal(as_samples(form, (2, 3), 6), FLAT)
    halves = as_samples(x.bfloat16(), (2, 3), 6)
    np.testing.assert_allclose(halves, FLAT, rtol=1e-2)
    assert as_names(torch.tensor([3, 4]), 2) == ["3", "4"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_and_series(library: str) -> None:
    frames = pytest.importorskip(library)
    columns = {name: FLAT[:, i].astype(np.float64 if i else np.float32) for i, name in enumerate("abcdef")}
    np.testing.assert_array_equal(as_samples(frames.DataFrame(columns), (6,), 6), FLAT)
    with pytest.raises(EdgeModelError, match="column 'when' is not: leave it out"):
        as_samples(frames.DataFrame({**columns, "when": list("wxyz")}), (6,), 6)
    assert as_names(frames.Series(["a", "b"]), 2) == ["a", "b"]
    assert as_names(frames.Series([1, 2]), 2) == ["1", "2"]
    assert as_names(frames.DataFrame({"label": ["a", "b"]}), 2) == ["a", "b"]
    assert as_names(frames.DataFrame({"cat": [0, 1], "dog": [1, 0]}), 2) == ["dog", "cat"]
    with pytest.raises(EdgeModelError, match=r"a label is missing|got None"):
        as_names(frames.Series(["a", None]), 2)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X.astype(object), r"dtype object: convert them with .astype\('float32'\)"),
        (FLAT.astype(str), "convert them with"),
        (np.zeros(4, "datetime64[s]"), "got dtype datetime64"),
        (np.ma.masked_array(X, mask=X > 0), "masked values"),
        (
            Frame(FLAT.astype(object), list("abcdef"), [Kind("O"), *[Kind("f")] * 5]),
            "must be numbers, column 'a' is not: leave it out",
        ),
        (X[:, :, :2], r"\(N, 2 x 3\), channels first, \(N, 3 x 2\), channels last, or \(N, 6\), got \(4, 2, 2\)"),
    ],
)
def test_what_is_no_array_of_numbers(x: Any, message: str) -> None:
    with pytest.raises(EdgeModelError, match=message):
        as_samples(x, (2, 3), 6)


IMAGES = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
GRAY = IMAGES[:, :1]


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        (IMAGES.transpose(0, 2, 3, 1), (3, 4, 5)),
        (IMAGES[:1].transpose(0, 2, 3, 1)[0], (3, 4, 5)),
        (GRAY[:, 0], (1, 4, 5)),
        (GRAY.transpose(0, 2, 3, 1), (1, 4, 5)),
        (GRAY[0, 0], (1, 4, 5)),
        (GRAY[0].transpose(1, 2, 0), (1, 4, 5)),
    ],
)
def test_channels_last_or_none(x: np.ndarray, shape: tuple[int, ...]) -> None:
    expected = (IMAGES if shape[0] == 3 else GRAY).reshape(2, -1)
    rows = as_samples(x, shape, expected.shape[1])
    np.testing.assert_array_equal(rows, expected[: len(rows)])


def test_an_order_that_could_be_either_is_the_models() -> None:
    cube = np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3)
    np.testing.assert_array_equal(as_samples(cube, (3, 3, 3), 27), cube.reshape(1, 27))
    with pytest.raises(EdgeModelError, match=r"\(N, 3 x 4 x 5\), channels first, \(N, 4 x 5 x 3\), channels last"):
        as_samples(IMAGES.transpose(0, 3, 2, 1), (3, 4, 5), 60)
    with pytest.raises(EdgeModelError, match="no samples"):
        as_samples(np.zeros((0, 4, 5)), (1, 4, 5), 20)


LABELS: dict[str, tuple[Any, list[str]]] = {
    "a column": (np.array([[1], [2]]), ["1", "2"]),
    "a column of text": ([["a"], ["b"]], ["a", "b"]),
    "whole floats": (np.array([1.0, 2.0], np.float16), ["1", "2"]),
    "one-hot": (np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]), ["2", "0"]),
    "one-hot truths": (np.array([[False, True], [True, False]]), ["1", "0"]),
    "one-hot with names": (Frame(np.eye(2), ["cat", "dog"], [Kind("f")] * 2), ["cat", "dog"]),
    "bytes": (np.array([b"a", b"b"]), ["a", "b"]),
    "objects": (np.array(["a", 3], object), ["a", "3"]),
    "space around": ([" a\n", "\tb "], ["a", "b"]),
    "decomposed": ([unicodedata.normalize("NFD", "é"), "ﬁ"], ["é", "ﬁ"]),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_in_many_forms(form: str) -> None:
    y, names = LABELS[form]
    assert as_names(y, 2) == names


def test_a_variable_width_string_array_is_text() -> None:
    kind = getattr(np.dtypes, "StringDType", None)
    if kind is None:
        pytest.skip("this NumPy has none")
    assert as_names(np.array(["a", "b"], kind()), 2) == ["a", "b"]


def with_class(name: str) -> EdgeModel:
    """A model with a class of this name, as an earlier revision would have kept it."""
    state = analytic_state()
    state.classes[0] = name
    return EdgeModel(model_file.from_bytes(model_file.to_bytes(state)))


DOORS: dict[str, Callable[[EdgeModel, str], object]] = {
    "partial_fit": lambda model, name: model.partial_fit(np.ones((2, 20)), [name] * 2),
    "learn_one": lambda model, name: model.learn_one(np.ones(20), name),
    "rename": lambda model, name: model.rename("1", name),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "name", ["a\nb", "\x1b[2J", "a\u2028b", "a\u2029b", "\x85a\x9b", "x" * 1001, "\ud800", " ", "nan"]
)
def test_a_name_that_no_file_holds_opens_no_class(door: str, name: str) -> None:
    model = EdgeModel(analytic_state())
    with pytest.raises(EdgeModelError):
        DOORS[door](model, name)
    assert model.classes_ == ["0", "1", "2"]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["x" * 1000, "Ångström", "字" * 999, "a\u00a0b", "None of these", "naan"])
def test_a_name_that_is_accepted_can_be_written(door: str, name: str) -> None:
    model = EdgeModel(analytic_state())
    DOORS[door](model, name)
    assert name in model_file.from_bytes(model_file.to_bytes(model.state)).classes


@pytest.mark.parametrize("name", [unicodedata.normalize("NFD", "café"), " padded "])
def test_a_class_that_an_earlier_revision_spelled_otherwise_is_found(name: str) -> None:
    spelled = unicodedata.normalize("NFC", name.strip())
    for call in (name, spelled):
        assert with_class(name).partial_fit(np.ones((1, 20)), [call]).classes_ == [name, "1", "2"]
        assert with_class(name).forget(call).classes_ == ["1", "2"]
    assert with_class(name).rename(name, spelled).classes_ == [spelled, "1", "2"]
