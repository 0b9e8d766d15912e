"""Learning in one pass with the analytic readout: accuracy, speed, order, merging, unlearning, few samples.

Run it on two files of ``ssd-edge dataset``, on one thread::

    ssd-edge dataset fashion-mnist --split train -o train.npz
    ssd-edge dataset fashion-mnist --split test -o test.npz
    OMP_NUM_THREADS=1 python -m ssd_edge_bench.one_pass train.npz test.npz
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ssd_edge_bench.reference_models import random_features
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import ModelState

Names = NDArray[np.str_]


@dataclass(frozen=True)
class Split:
    """Samples float32 (N, d) and their class names (N,)."""

    x: Float32
    names: Names

    @classmethod
    def read(cls, path: Path) -> Split:
        """A file of ``ssd-edge dataset``."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["x"].reshape(len(arrays["x"]), -1), arrays["classes"][arrays["y"]])

    def of(self, *names: str) -> Split:
        """The samples of some classes."""
        chosen = np.isin(self.names, names)
        return Split(self.x[chosen], self.names[chosen])

    def take(self, chosen: NDArray[np.integer]) -> Split:
        """Some samples."""
        return Split(self.x[chosen], self.names[chosen])


def learn(state: ModelState, parts: list[Split]) -> tuple[EdgeModel, float]:
    """A model that learned ``parts`` one after the other, and the processor seconds it took."""
    model = EdgeModel(state, engine="csr")
    start = time.process_time()
    for part in parts:
        model.partial_fit(part.x, part.names)
    return model, time.process_time() - start


def difference(a: EdgeModel, b: EdgeModel, x: Float32) -> float:
    """Largest difference of logits, relative to the largest logit."""
    order = [b.classes_.index(name) for name in a.classes_]
    one, other = a.logits(x), b.logits(x)[:, order]
    return float(np.abs(one - other).max() / np.abs(one).max())


def class_by_class(state: ModelState, train: Split, test: Split, classes: list[str]) -> EdgeModel:
    """Ten tasks of one class each, in one pass; then the same in another order and all at once."""
    parts = [train.of(name) for name in classes]
    model, seconds = learn(state, parts)
    start = time.process_time()
    model.logits(test.x[:1])
    solve = time.process_time() - start
    print(f"class by class: accuracy {model.score(test.x, test.names):.4f}")
    print(f"  learned {len(train.x)} samples in {seconds:.1f} s, {len(train.x) / seconds:.0f} samples a second")
    print(f"  solved in {solve:.2f} s")
    backwards, _ = learn(state, [parts[0], *parts[:0:-1]])
    print(f"  largest relative difference of logits, other order: {difference(model, backwards, test.x):.1e}")
    mixed = train.take(np.random.default_rng(0).permutation(len(train.x)))
    at_once, _ = learn(state, [mixed])
    print(f"  and everything at once, shuffled: {difference(model, at_once, test.x):.1e}")
    return model


def devices(state: ModelState, train: Split, test: Split, classes: list[str], model: EdgeModel) -> None:
    """Five devices with two classes each, merged; then one of them unlearned."""
    base = EdgeModel(state, engine="csr")
    pairs = [train.of(*classes[i : i + 2]) for i in range(0, 10, 2)]
    learned = [learn(state, [pair])[0] for pair in pairs]
    merged = EdgeModel.merge(learned, base=base)
    print(f"five devices merged against one: {difference(merged, model, test.x):.1e}")
    merged.unlearn(pairs[-1].x, pairs[-1].names)
    four = EdgeModel.merge(learned[:-1], base=base)
    print(f"one of them unlearned against the other four: {difference(merged, four, test.x):.1e}")


def few_samples(model: EdgeModel, train: Split, test: Split, classes: list[str], repeats: int) -> None:
    """Recall of a class shown a few times beside nine full ones: mean over all classes and ``repeats`` draws."""
    rng = np.random.default_rng(0)
    recalls: dict[int, list[float]] = {5: [], 10: [], 50: []}
    others: dict[int, list[float]] = {count: [] for count in recalls}
    for name in classes:
        new, old = train.of(name), [other for other in classes if other != name]
        model.unlearn(new.x, new.names)
        tested, kept = test.of(name), test.of(*old)
        for count in [count for count in recalls for _ in range(repeats)]:
            shown = new.take(rng.choice(len(new.x), count, replace=False))
            model.partial_fit(shown.x, shown.names)
            recalls[count].append(model.score(tested.x, tested.names))
            others[count].append(model.score(kept.x, kept.names))
            model.unlearn(shown.x, shown.names)
        model.partial_fit(new.x, new.names)
    for count, values in recalls.items():
        print(
            f"a class shown {count} times: recall {np.mean(values):.3f} (lowest {min(values):.3f}, highest "
            f"{max(values):.3f}), accuracy on the nine others {np.mean(others[count]):.3f}"
        )


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(prog="python -m ssd_edge_bench.one_pass", description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--hidden", type=int, default=4000)
    parser.add_argument("--k", type=int, default=200)
    parser.add_argument("--density", type=float, default=0.05)
    parser.add_argument("--solver", choices=["lda", "ridge"], default="lda")
    parser.add_argument("--center", choices=["all", "first"], default="all", help="mean of all or the first class")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--few", type=int, default=0, metavar="REPEATS", help="also measure few-sample recall")
    arguments = parser.parse_args()
    train, test = Split.read(arguments.train), Split.read(arguments.test)
    classes = list(dict.fromkeys(train.names[np.argsort(train.names, kind="stable")].tolist()))
    centered = train if arguments.center == "all" else train.of(classes[0])
    center = centered.x.mean(axis=0, dtype=np.float64).astype(np.float32)
    state = random_features(
        train.x.shape[1], arguments.hidden, arguments.k, arguments.density, center, arguments.seed
    )
    state = replace(state, analytic=AnalyticOptions(arguments.solver))
    model = class_by_class(state, train, test, classes)
    devices(state, train, test, classes, model)
    if arguments.few:
        few_samples(model, train, test, classes, arguments.few)


if __name__ == "__main__":
    main()
