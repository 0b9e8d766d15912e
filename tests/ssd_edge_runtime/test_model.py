"""EdgeModel at its edge: what goes in, what is refused, what a thread sees."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.options import AnalyticOptions

BOTH = pytest.mark.parametrize("make", [gradient_state, analytic_state])

BAD_SAMPLES = {
    "wrong width": (np.zeros((3, 19)), "shape"),
    "three axes": (np.zeros((3, 4, 5)), "shape"),
    "scalar": (1.0, "shape"),
    "none": (np.zeros((0, 20)), "no samples"),
    "nan": (np.r_[np.zeros(40), np.nan].repeat(20).reshape(-1, 20), "sample 40 holds NaN"),
    "infinity": (np.full((2, 20), np.inf), "NaN or infinity"),
    "too large": (np.full((2, 20), 1e300), "NaN or infinity"),
    "strings": (np.full((2, 20), "a"), "numbers"),
    "complex": (np.zeros((2, 20), complex), "numbers"),
    "objects": (np.full((2, 20), None), "numbers"),
    "ragged": ([[1.0] * 20, [1.0] * 19], "one array"),
}
BAD_LABELS = {
    "too few": ([0, 1], "3 samples but 2 labels"),
    "too many": ([0, 1, 2, 3], "3 samples but 4 labels"),
    "fractions": ([0.0, 1.5, 2.0], "strings or integers: 1.5 is no whole number"),
    "booleans": ([True, False, True], "strings or integers, got bool"),
    "two-hot": (np.ones((3, 3), dtype=int), "one per sample"),
    "none": ([None, "a", "b"], "strings or integers, got None"),
    "not a number": (["a", float("nan"), "b"], "a label is missing"),
    "not a number, as NumPy writes it": (np.array(["a", np.nan, "b"]), "'nan' stands for a label that is missing"),
    "a truth among text": (["a", True, "b"], "strings or integers, got bool"),
    "a line break": (["a", "b\nc", "d"], "line break or control character"),
    "a line separator": (["a", "b\u2028c", "d"], "line break or control character"),
    "too long a name": (["a", "b" * 1001, "d"], "1 to 1000 characters, got 1001"),
    "a number too long to write": ([1, 10**5000, 2], "1 to 1000 characters"),
    "dates": (np.array(["2024-01-01"] * 3, "datetime64[D]"), "strings or integers, got date"),
    "empty name": (["a", "", "b"], "must not be empty"),
}


@BOTH
@pytest.mark.parametrize("case", BAD_SAMPLES)
def test_bad_samples_are_refused_everywhere_and_change_nothing(make, case: str) -> None:
    x, message = BAD_SAMPLES[case]
    model = EdgeModel(make())
    good, _ = samples(1, 5)
    before = model.logits(good)
    for call in (model.predict, model.predict_proba, model.logits, lambda v: model.partial_fit(v, [0, 1])):
        with pytest.raises(EdgeModelError, match=message):
            call(x)
    np.testing.assert_array_equal(model.logits(good), before)
    assert model.samples_seen_ == make().samples_seen


@BOTH
@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_refused_and_change_nothing(make, case: str) -> None:
    y, message = BAD_LABELS[case]
    model = EdgeModel(make())
    x, _ = samples(1, 3)
    before = model.logits(x)
    with pytest.raises(EdgeModelError, match=message):
        model.partial_fit(x, y)
    np.testing.assert_array_equal(model.logits(x), before)
    assert model.classes_ == ["0", "1", "2"]


@BOTH
def test_classes_that_are_not_there_are_refused(make) -> None:
    model = EdgeModel(make())
    for act, message in (
        (lambda: model.forget("bag"), "unknown class 'bag'"),
        (lambda: model.rename("bag", "box"), "unknown class 'bag'"),
        (lambda: model.rename(0, 1), "there already is a class '1'"),
        (lambda: model.rename(0, ""), "must not be empty"),
    ):
        with pytest.raises(EdgeModelError, match=message):
            act()
    assert model.classes_ == ["0", "1", "2"]
    model.forget(0).forget(1)
    with pytest.raises(EdgeModelError, match="at least one class"):
        model.forget(2)


def test_gradient_models_neither_unlearn_nor_merge() -> None:
    model = EdgeModel(gradient_state())
    with pytest.raises(EdgeModelError, match="unlearn needs the analytic readout"):
        model.unlearn(*samples(1, 3))
    with pytest.raises(EdgeModelError, match="analytic readout"):
        EdgeModel.merge([model], base=model)
    with pytest.raises(EdgeModelError, match="model 1 has a gradient readout"):
        EdgeModel.merge([model], base=EdgeModel(analytic_state()))


@pytest.mark.parametrize(
    ("options", "message"), [({"engine": "tpu"}, "engine must be"), ({"threads": 0}, "threads")]
)
def test_bad_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(EdgeModelError, match=message):
        EdgeModel(gradient_state(), **options)


class Wrapped:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.values


def test_samples_come_in_many_forms() -> None:
    state = gradient_state(d=20)
    state.input_shape = (1, 4, 5)
    model = EdgeModel(state)
    x, _ = samples(1, 3)
    expected = model.logits(x)
    for form in (x.reshape(3, 1, 4, 5), x.tolist(), Wrapped(x), x.astype(np.float64), np.asfortranarray(x)):
        np.testing.assert_array_equal(model.logits(form), expected)
    single = model.logits(x[0])
    for form in (x[0].reshape(1, 4, 5), x[0].tolist(), x[:1]):
        np.testing.assert_array_equal(model.logits(form), single)
    np.testing.assert_allclose(single, expected[:1], rtol=1e-5)
    bytes_ = (x * 100).astype(np.uint8)
    np.testing.assert_array_equal(model.logits(bytes_), model.logits(bytes_.astype(np.float32) / 255))


def test_labels_come_in_many_forms() -> None:
    x, _ = samples(1, 3)
    for labels in (
        ["0", "1", "5"],
        [0, 1, 5],
        np.array([0, 1, 5]),
        np.array(["0", "1", "5"]),
        ["0", 1, np.int8(5)],
    ):
        assert EdgeModel(gradient_state()).partial_fit(x, labels).classes_ == ["0", "1", "2", "5"]


@BOTH
def test_answers_are_consistent(make) -> None:
    model = EdgeModel(make())
    x, y = samples(1, 40)
    probabilities = model.predict_proba(x)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)
    answers = model.predict(x)
    assert answers.tolist() == [model.classes_[i] for i in probabilities.argmax(axis=1)]
    assert model.score(x, y) == np.mean(answers == y.astype(str))
    assert model.score(x[:2], ["nobody", "else"]) == 0.0
    assert model.predict_one(x[0]) == model.predict(x[:1])[0]
    by_name = model.predict_proba_one(x[0])
    assert list(by_name) == model.classes_
    np.testing.assert_allclose(list(by_name.values()), model.predict_proba(x[0])[0])


def test_reject_below_answers_nothing_where_confidence_is_low() -> None:
    model = EdgeModel(gradient_state())
    x, _ = samples(1, 40)
    confidence = model.predict_proba(x).max(axis=1)
    threshold = float(np.median(confidence))
    answers = model.predict(x, reject_below=threshold)
    np.testing.assert_array_equal(answers == "", confidence < threshold)
    lowest = int(confidence.argmin())
    assert model.predict_one(x[lowest], reject_below=1.0) is None
    with pytest.raises(EdgeModelError, match="between 0 and 1"):
        model.predict(x, reject_below=1.5)


def test_temperature_divides_the_logits() -> None:
    state = gradient_state()
    state.temperature = 0.25
    x, _ = samples(1, 5)
    model = EdgeModel(state)
    expected = np.exp(model.logits(x) / 0.25)
    np.testing.assert_allclose(model.predict_proba(x), expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


@BOTH
def test_activation_frequency_is_the_share_of_samples(make) -> None:
    model = EdgeModel(make()).partial_fit(*samples(1, 30))
    (frequency,) = model.activation_frequency
    assert frequency.shape == (30,)
    assert 0.0 < frequency.max() <= 1.0
    total = frequency.sum() * model.state.class_samples.sum()
    assert total == pytest.approx(model.state.layers[0].activation_count.sum())


@BOTH
def test_save_and_load_change_nothing(make, tmp_path) -> None:
    path = tmp_path / "m.onnx"
    model = EdgeModel(make()).partial_fit(*samples(1, 30, classes=5))
    model.rename(4, "four")
    assert model.save(path) == 2
    again = EdgeModel.load(path)
    x, y = samples(2, 20)
    np.testing.assert_array_equal(again.logits(x), model.logits(x))
    assert again.classes_ == ["0", "1", "2", "3", "four"]
    assert again.samples_seen_ == model.samples_seen_
    assert again.save(path) == 2, "nothing changed, no new generation"
    again.partial_fit(x, y)
    assert again.save(path) == 3
    assert again.state.parent is not None
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        model.partial_fit(x, y).save(path)


def test_rounded_analytic_values_survive_a_save(tmp_path) -> None:
    from ssd_edge_runtime.model_file import round_state

    for kind in ("float16", "int8"):
        state = analytic_state()
        state.values_type = kind
        model = EdgeModel(round_state(state)).partial_fit(*samples(1, 30, classes=5))
        model.save(tmp_path / f"{kind}.onnx")
        x, _ = samples(2, 20)
        np.testing.assert_array_equal(EdgeModel.load(tmp_path / f"{kind}.onnx").logits(x), model.logits(x))


def test_the_runtime_imports_little() -> None:
    code = (
        "import sys; from ssd_edge_runtime import *; "
        "heavy = {'torch', 'onnx', 'onnxruntime', 'scipy.linalg', 'sklearn', 'PIL', 'rich', 'click'}; "
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_readout_beyond_float16_is_saved_all_the_same(tmp_path: Path) -> None:
    # Codes a hundred times smaller have a readout a hundred times larger.
    state = analytic_state()
    assert state.statistics is not None
    state.layers[0].weights.values[:] *= 0.01
    state.statistics.gram *= 1e-4
    state.statistics.class_sums *= 0.01
    state.analytic = AnalyticOptions(rho=1e-12)
    state.values_type = "float16"
    state = model_file.round_state(state)
    model = EdgeModel(state).partial_fit(*samples(5, 12))
    assert np.abs(model.state.readout.weights).max() > 65504
    assert model.state.values_type == "float32"
    model.save(tmp_path / "model.onnx")
    again = EdgeModel.load(tmp_path / "model.onnx")
    x, _ = samples(6, 9)
    np.testing.assert_array_equal(again.logits(x), model.logits(x))
