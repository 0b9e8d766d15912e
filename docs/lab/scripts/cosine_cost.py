"""What the cosine activation costs at 784 -> 1000, 5 %, against the plain one, by turns in one process.

OMP_NUM_THREADS=1 python docs/lab/scripts/cosine_cost.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from ssd_edge_bench.reference_models import CASES, random_state
from ssd_edge_runtime import EdgeModel

TURNS, CALLS = 40, 12


def model(activation: str) -> EdgeModel:
    """A random model of the first reference case."""
    state = random_state(CASES[0])
    for layer in state.layers:
        layer.activation = activation
    return EdgeModel(state, engine="csr")


def fastest(call: Callable[[], object]) -> float:
    """Microseconds of the fastest of some calls."""
    times = []
    for _ in range(CALLS):
        begun = time.perf_counter_ns()
        call()
        times.append((time.perf_counter_ns() - begun) / 1e3)
    return min(times)


def compare(name: str, batch: int, plain: Callable[[], object], cosine: Callable[[], object]) -> None:
    """Print both times, and the median of their ratios."""
    pairs = [(fastest(plain), fastest(cosine)) for _ in range(TURNS)]
    a, b = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(second / first for first, second in pairs)
    print(f"{name} {batch}: plain {a:.1f} us, cosine {b:.1f} us, ratio {ratio:.2f}")


def main() -> None:
    """A line for each operation and batch."""
    plain, cosine = model("plain"), model("cosine")
    x = np.random.default_rng(0).random((32, CASES[0].inputs), np.float32)
    y = [plain.classes_[i % 10] for i in range(32)]
    for batch in (1, 32):
        compare("predict", batch, *(partial(each.logits, x[:batch]) for each in (plain, cosine)))
        compare("learn", batch, *(partial(each.partial_fit, x[:batch], y[:batch]) for each in (plain, cosine)))


if __name__ == "__main__":
    main()
