"""Statistics against an oracle that makes them anew of the samples that are in them: equal to the bit."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from same_everywhere import digest, learned
from small_models import gradient_state

from ssd_edge_runtime import AnalyticOptions, EdgeModel, EdgeModelError, analytic
from ssd_edge_runtime.analytic import gram
from ssd_edge_runtime.model import rebase
from ssd_edge_runtime.network.exact import exact_network
from ssd_edge_runtime.sparse import exact, products
from ssd_edge_runtime.sparse.exact import CODE_BITS
from ssd_edge_runtime.state import ModelState, Readout
from ssd_edge_runtime.storage import records

SAMPLES, NAMES = 120, [str(number) for number in range(7)]
Lesson = tuple[int, str]
"""A sample by number, and its label."""


def untaught(widths: tuple[int, ...]) -> ModelState:
    """A closed-form model of two classes that has seen nothing."""
    state = gradient_state(3, 20, widths, 6, classes=2, density=0.5, uniform=False, center=True)
    n = widths[-1]
    return dataclasses.replace(
        state,
        learning=None,
        analytic=AnalyticOptions(rho=1e-2),
        statistics=analytic.empty(n, 2, CODE_BITS),
        readout=Readout("analytic", np.zeros((2, n), np.float32), np.zeros(2, np.float32)),
    )


class Oracle:
    """Which samples a model holds, and what forgotten classes have left."""

    def __init__(self, state: ModelState, x: np.ndarray) -> None:
        network = exact_network(state)
        alone = [network.codes(one[None]) for one in x]
        self.codes = [np.stack([each.to_dense()[0] for each in layer]) for layer in zip(*alone, strict=True)]
        self.z = np.rint(self.codes[-1] / network.step).astype(np.int64)
        self.step = network.step
        self.held: Counter[Lesson] = Counter()
        self.left = np.zeros((self.z.shape[1],) * 2, np.int64)
        self.seen = 0

    def learn(self, lessons: Iterable[Lesson]) -> None:
        for lesson in lessons:
            self.held[lesson] += 1
            self.seen += 1

    def unlearn(self, lessons: Iterable[Lesson]) -> None:
        for lesson in lessons:
            self.held[lesson] -= 1
            self.seen -= 1
        self.held = +self.held

    def forget(self, name: str) -> None:
        """Its scatter about its mean stays, its samples can be taken out no more."""
        gone = [lesson for lesson in self.held if lesson[1] == name]
        counts = np.array([self.held.pop(lesson) for lesson in gone], np.int64)
        z = self.z[[number for number, _ in gone]]
        total = counts @ z
        mean = np.rint((total * self.step)[:, None] * (total * self.step / counts.sum()) / self.step**2)
        self.left += z.T @ (counts[:, None] * z) - mean.astype(np.int64)

    def of(self, name: str) -> int:
        return sum(count for (_, label), count in self.held.items() if label == name)

    def check(self, model: EdgeModel) -> None:
        state = model.state
        assert state.statistics is not None
        numbers = [number for number, _ in self.held]
        counts = np.fromiter(self.held.values(), np.int64, len(self.held))
        z = self.z[numbers]
        square = np.tril(z.T @ (counts[:, None] * z) + self.left) * self.step**2
        assert np.array_equal(gram.unpack(state.statistics.gram, z.shape[1]), square)
        members = np.array([[label == name for _, label in self.held] for name in state.classes]) * counts
        assert np.array_equal(state.statistics.class_sums, members @ z * self.step)
        assert np.array_equal(state.statistics.class_counts, members.sum(axis=1))
        assert np.array_equal(state.class_samples, members.sum(axis=1))
        for layer, codes in zip(state.layers, self.codes, strict=True):
            assert np.array_equal(layer.class_count, members @ (codes[numbers] > 0))
            assert np.array_equal(layer.activation_count, counts @ (codes[numbers] > 0))
        assert model.samples_seen_ == self.seen
        assert {name for name in NAMES if self.of(name)} <= set(state.classes)


class Walk:
    """Random operations on a model and its oracle."""

    def __init__(self, widths: tuple[int, ...], seed: int, folder: Path) -> None:
        state = untaught(widths)
        self.random = random.Random(seed)
        self.x = np.random.default_rng(seed).random((SAMPLES, 20)).astype(np.float32)
        self.model, self.oracle, self.file = (
            EdgeModel(state, engine="csr"),
            Oracle(state, self.x),
            folder / "m.onnx",
        )

    def some(self, most: int, names: list[str] = NAMES) -> list[Lesson]:
        count = self.random.randint(1, most)
        return [(self.random.randrange(SAMPLES), self.random.choice(names)) for _ in range(count)]

    def teach(self, model: EdgeModel, lessons: list[Lesson]) -> None:
        model.partial_fit(self.x[[number for number, _ in lessons]], [name for _, name in lessons])

    def batches(self, lessons: list[Lesson]) -> Iterable[list[Lesson]]:
        """In another order, cut anywhere."""
        left = self.random.sample(lessons, len(lessons))
        while left:
            size = self.random.choice([1, 2, len(left)])
            yield left[:size]
            left = left[size:]

    def learn(self) -> None:
        lessons = self.some(self.random.choice([1, 1, 5, 40, 300]))
        for batch in self.batches(lessons):
            self.teach(self.model, batch)
        self.oracle.learn(lessons)

    def unlearn(self) -> None:
        held = list(self.oracle.held.elements())
        if len(held) < 20:
            return
        lessons = self.random.sample(held, self.random.choice([1, 2, len(held) // 3, len(held) - 5]))
        for batch in self.batches(lessons):
            self.model.unlearn(self.x[[number for number, _ in batch]], [name for _, name in batch])
        self.oracle.unlearn(lessons)

    def forget(self) -> None:
        known = [name for name in self.model.classes_ if self.oracle.of(name)]
        if len(known) < 3:
            return
        name = self.random.choice(known)
        self.model.forget(name)
        self.oracle.forget(name)

    def device(self, base: ModelState) -> EdgeModel:
        """A model that started from ``base``, and has learned and unlearned."""
        device, lessons = EdgeModel(base, engine="csr"), self.some(30)
        self.teach(device, lessons)
        # A class without samples in the base would leave the device with its last one: no merge would take that.
        empty = [name for name, count in zip(base.classes, base.class_samples, strict=True) if not count]
        back = [lesson for lesson in self.random.sample(lessons, len(lessons) // 2) if lesson[1] not in empty]
        for batch in self.batches(back):
            device.unlearn(self.x[[number for number, _ in batch]], [name for _, name in batch])
        self.oracle.learn(lessons)
        self.oracle.unlearn(back)
        return device

    def merge(self) -> None:
        base = self.model.state
        self.model = EdgeModel.merge([self.device(base) for _ in range(3)], base=EdgeModel(base))

    def rebase(self) -> None:
        old = self.model.state
        self.model = rebase(self.device(old), EdgeModel(old), self.device(old))

    def save(self) -> None:
        self.model.save(self.file)
        self.model = EdgeModel.load(self.file, engine="csr")

    def go(self, steps: int, every: int) -> None:
        verbs = [self.learn] * 6 + [self.unlearn] * 6 + [self.merge, self.rebase, self.save, self.forget]
        for step in range(steps):
            self.random.choice(verbs)()
            if step % every == 0:
                self.oracle.check(self.model)
        self.oracle.check(self.model)


@pytest.mark.parametrize("widths", [(30,), (40, 24)])
def test_statistics_are_those_of_the_samples_in_them(widths: tuple[int, ...], tmp_path: Path) -> None:
    Walk(widths, 1, tmp_path).go(150, every=1)


@pytest.mark.slow
def test_five_thousand_operations(tmp_path: Path) -> None:
    for seed, widths in enumerate([(30,), (40, 24)], 2):
        (tmp_path / str(seed)).mkdir()
        Walk(widths, seed, tmp_path / str(seed)).go(2500, every=10)


EVERYWHERE = "e29915b2822a28fe9a0f3679080cabe8bc2a02d6589cd414d122ddf268016a99"
"""Found on x86-64 and, under emulation, on 64-bit Arm, by ``python tests/helpers/same_everywhere.py``."""


@pytest.mark.parametrize("together", [True, False], ids=["in batches", "one by one"])
@pytest.mark.parametrize("kernel", ["compiled", "public", "dense", "sparse"])
def test_what_is_learned_is_the_same_on_every_machine(
    kernel: str, together: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "public":
        for name in ("matvec", "matvecs"):
            monkeypatch.setattr(products, f"_csr_{name}", getattr(products, f"_public_{name}"))
    if kernel in ("dense", "sparse"):
        monkeypatch.setattr(exact, "DENSE", 0.0 if kernel == "dense" else 1.0)
    assert digest(learned(together)) == EVERYWHERE


def test_a_record_gives_the_same_statistics_and_is_refused_where_its_codes_are_not_exact() -> None:
    x = np.random.default_rng(1).random((9, 20)).astype(np.float32)
    model, twin = (EdgeModel(untaught((30,)), engine="csr") for _ in range(2))
    model.record({})
    record = model.partial_fit(x, ["a"] * 9).record({})
    fields, arrays = records.decode(record)
    altered = records.encode(fields, arrays | {"values": arrays["values"] * np.float32(1.001)})
    with pytest.raises(EdgeModelError, match="holds codes that are not exact, as this model's are"):
        twin.replay(altered)
    assert twin.samples_seen_ == 0
    twin.replay(record)
    assert digest(twin.state) == digest(model.state)
