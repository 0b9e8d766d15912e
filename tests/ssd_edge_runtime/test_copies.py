"""``copy``, ``pickle``, ``joblib`` and other processes get a model of their own, equal to the one given."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from encoders import behind, images, tiny_encoder
from small_models import analytic_state, gradient_state, samples
from stored_models import CASES, assert_same

from ssd_edge_runtime import AnalyticOptions, EdgeModel, EdgeModelError, LossDetector
from ssd_edge_runtime.options import DistillOptions, LearningOptions
from ssd_edge_runtime.state import ModelState

Copier = Callable[[EdgeModel], EdgeModel]


def by_joblib(model: EdgeModel) -> EdgeModel:
    joblib = pytest.importorskip("joblib")
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    again: EdgeModel = joblib.load(file)
    return again


def by_pickle(protocol: int) -> Copier:
    return lambda model: pickle.loads(pickle.dumps(model, protocol))


WAYS: dict[str, Copier] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": by_pickle(pickle.DEFAULT_PROTOCOL),
    "oldest pickle": by_pickle(0),
    "joblib": by_joblib,
}
STATES: dict[str, Callable[[], ModelState]] = {
    "analytic": analytic_state,
    "gradient": lambda: gradient_state(learning=LearningOptions(batch_size=8, distill=DistillOptions())),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
states = pytest.mark.parametrize("make", STATES.values(), ids=STATES)


@ways
@pytest.mark.parametrize("case", CASES)
def test_a_copy_is_equal_bit_by_bit(make_state: Callable[..., ModelState], case: str, way: Copier) -> None:
    model = EdgeModel(make_state(**CASES[case]), engine="csr", threads=3)
    twin = way(model)
    assert twin is not model
    assert_same(twin.state, model.state)
    assert (twin.engine, twin._threads, twin.solve_every, twin.digest) == ("csr", 3, 1, None)


@ways
@states
def test_what_one_learns_does_not_reach_the_other(make: Callable[[], ModelState], way: Copier) -> None:
    model = EdgeModel(make())
    x, y = samples(3, 24, classes=5)
    model.partial_fit(x[:8], y[:8])
    twin, third = way(model), way(model)
    before = model.logits(x)
    twin.partial_fit(x, y).rename("1", "one").forget("0")
    assert (twin.classes_, model.classes_) == (["one", "2", "3", "4"], list("01234"))
    np.testing.assert_array_equal(model.logits(x), before)
    model.partial_fit(x, y).partial_fit(x, y)
    np.testing.assert_array_equal(third.logits(x), before)


@ways
@states
def test_both_go_on_to_the_same_bits(make: Callable[[], ModelState], way: Copier) -> None:
    model = EdgeModel(make())
    for seed in range(3):
        model.partial_fit(*samples(seed, 20, classes=4 + seed % 2))
    twin = way(model)
    for seed in range(3, 6):
        model.partial_fit(*samples(seed, 20, classes=6))
        twin.partial_fit(*samples(seed, 20, classes=6))
    assert_same(twin.state, model.state)
    np.testing.assert_array_equal(twin.activation_frequency, model.activation_frequency)


@ways
def test_options_and_what_is_not_solved_yet_go_along(way: Copier) -> None:
    model = EdgeModel(analytic_state())
    x, y = samples(5, 30, classes=4)
    model.analytic = AnalyticOptions(solver="ridge", rho=0.03, min_samples=12)
    model.solve_every = 1000
    with pytest.warns(UserWarning, match="too few samples"):
        model.partial_fit(x, y)
    twin = way(model)
    assert (twin.analytic, twin.solve_every) == (model.analytic, 1000)
    assert twin.withheld_ == model.withheld_ == {"3": 7}
    np.testing.assert_array_equal(twin.logits(x), model.logits(x))


@ways
def test_an_encoder_goes_along_and_engines_are_opened_anew(way: Copier) -> None:
    x, y = images(1, 30)
    model = EdgeModel(behind(tiny_encoder(), analytic_state()), engine="onnxruntime").partial_fit(x, y)
    want = model.logits(x)
    twin = way(model)
    assert twin.state.encoder == tiny_encoder()
    np.testing.assert_array_equal(twin.logits(x), want)
    np.testing.assert_array_equal(twin.embed(x), model.embed(x))


@ways
def test_a_detector_listens_to_one_stream(way: Copier) -> None:
    model = EdgeModel(gradient_state())
    model.detector = LossDetector(samples_per_false_alarm=50.0)
    model.partial_fit(*samples(1, 40))
    twin = way(model)
    assert twin.detector is not None and twin.detector is not model.detector
    assert twin.detector._sorted == model.detector._sorted
    twin.partial_fit(*samples(2, 8))
    assert len(twin.detector._sorted) == len(model.detector._sorted) + 8


@ways
def test_two_copies_do_not_overwrite_each_other_in_one_file(way: Copier, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    EdgeModel(analytic_state()).save(path)
    model = EdgeModel.load(path)
    twin = way(model)
    assert twin.digest == model.digest
    model.partial_fit(*samples(1, 10)).save(path)
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        twin.partial_fit(*samples(2, 10)).save(path)
    twin.save(tmp_path / "twin.onnx")
    assert EdgeModel.load(tmp_path / "twin.onnx").samples_seen_ == 70


@ways
def test_a_model_of_ones_own_class_stays_one(way: Copier) -> None:
    model = Named(replace(analytic_state(), generation=4), place="gate 3")
    twin = way(model)
    assert type(twin) is Named
    assert (twin.place, twin.state.generation) == ("gate 3", 4)


class Named(EdgeModel):
    """Somebody's own class, with something of its own."""

    def __init__(self, state: ModelState, place: str) -> None:
        super().__init__(state)
        self.place = place


def test_a_model_is_copied_while_another_thread_teaches_it() -> None:
    model = EdgeModel(analytic_state())
    done = threading.Event()

    def teach() -> None:
        seed = 0
        while not done.is_set():
            model.partial_fit(*samples(seed := seed + 1, 10))

    teacher = threading.Thread(target=teach)
    teacher.start()
    try:
        for _ in range(50):
            state = copy.copy(model).state
            assert state.statistics is not None
            assert state.statistics.class_counts.sum() == state.samples_seen
    finally:
        done.set()
        teacher.join()


@states
def test_processes_that_are_spawned_answer_and_learn(make: Callable[[], ModelState]) -> None:
    model = EdgeModel(make(), engine="csr")
    x, y = samples(1, 40)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        answers = pool.submit(model.predict, x).result()
        learned = pool.submit(model.partial_fit, x, y).result()
    np.testing.assert_array_equal(answers, model.predict(x))
    assert model.samples_seen_ + 40 == learned.samples_seen_
    assert_same(learned.state, model.partial_fit(x, y).state)
