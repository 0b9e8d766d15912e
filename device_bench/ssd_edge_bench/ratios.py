"""How many times faster compressed rows are than the same function dense: one process, one thread, side by side.

Run it as ``OMP_NUM_THREADS=1 python -m ssd_edge_bench.ratios``. Predictions are compared with ONNX Runtime on the
dense float32 file of the same model, learning steps with torch's dense SGD step. The two take turns, some calls
each, so that both meet the same machine; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from ssd_edge_bench.reference_models import CASES, Case, random_state
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.state import ModelState

Call = Callable[[], object]
TURN_SECONDS = 0.02
TURN_CALLS = 50


@dataclass
class Ratio:
    """One comparison: medians in microseconds, all raw values kept."""

    case: str
    operation: str
    batch: int
    against: str
    ours_us: float
    theirs_us: float
    ratio: float
    target: float
    spread: float
    """Half the interquartile range of our times as a share of their median: above .1 the run was not quiet."""
    gigabytes_per_second: float
    """Bytes of values and columns that our predictions read, once a call, over our median time."""
    raw_us: tuple[list[float], list[float]]


def alternate(ours: Call, theirs: Call, seconds: float) -> tuple[list[float], list[float]]:
    """Times of both in microseconds, in turns of a few calls for about ``seconds``; at least 5 of each.

    Each turn begins with calls that are not timed: the other has left the caches cold, and a device calls the same
    model again and again.
    """
    times: tuple[list[float], list[float]] = ([], [])
    turn(ours), turn(theirs)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[1]) < 5:
        times[0].extend(turn(ours))
        times[1].extend(turn(theirs))
    return times


def turn(call: Call) -> list[float]:
    """Microseconds of each of a few calls in a row, about ``TURN_SECONDS`` of them, the first two left out."""
    call()
    call()
    times: list[float] = []
    while sum(times) < 1e6 * TURN_SECONDS and len(times) < TURN_CALLS:
        start = time.perf_counter()
        call()
        times.append(1e6 * (time.perf_counter() - start))
    return times


def compare(
    case: Case, operation: str, batch: int, against: str, ours: Call, theirs: Call, target: float, seconds: float
) -> Ratio:
    """Measure one pair."""
    raw = alternate(ours, theirs, seconds)
    mine, other = statistics.median(raw[0]), statistics.median(raw[1])
    low, _, high = statistics.quantiles(raw[0], n=4)
    moved = 8.0 * case.hidden * round(case.density * case.inputs)
    return Ratio(
        case.name, operation, batch, against, mine, other, other / mine, target,
        (high - low) / (2 * mine), moved / mine / 1e3, raw,
    )  # fmt: skip


def measure(case: Case, seconds: float) -> list[Ratio]:
    """Predict and learn at batch 1 and 32."""
    state = random_state(case)
    return [*measure_predict(case, state, seconds), *measure_learn(case, state, seconds)]


def measure_predict(case: Case, state: ModelState, seconds: float) -> list[Ratio]:
    """Logits, ours against ONNX Runtime's."""
    from ssd_edge_bench.engines.session import dense_session

    session, model = dense_session(state, threads=1), EdgeModel(state, engine="csr")
    ratios = []
    for batch, target in zip((1, 32), case.predict, strict=True):
        x = np.random.default_rng(1).random((batch, case.inputs), np.float32)
        ours = partial(model.logits, x)
        theirs = partial(session.run, ["logits"], {"input": x})
        np.testing.assert_allclose(ours(), theirs()[0], rtol=1e-3, atol=1e-4)
        ratios.append(compare(case, "predict", batch, "onnxruntime dense", ours, theirs, target, seconds))
    return ratios


def measure_learn(case: Case, state: ModelState, seconds: float) -> list[Ratio]:
    """One gradient step, ours against torch's."""
    import torch

    from ssd_edge_bench.engines.torch_dense import TorchEngine

    ratios = []
    for batch, target in zip((1, 32), case.learn, strict=True):
        rng = np.random.default_rng(1)
        x, y = rng.random((batch, case.inputs), np.float32), rng.integers(0, case.classes, batch)
        ours = partial(EdgeModel(state, engine="csr").partial_fit, x, y)
        theirs = partial(TorchEngine(state, threads=1).step, x, torch.from_numpy(y))
        ratios.append(compare(case, "learn", batch, "torch dense", ours, theirs, target, seconds))
    return ratios


def copy_bandwidth() -> float:
    """Gigabytes a second read and written by copying 64 MiB on one thread, the best of ten."""
    source = np.ones(2**24, np.float32)
    target = np.empty_like(source)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.nbytes / min(times) / 1e9


def table(ratios: list[Ratio]) -> str:
    """One line per comparison."""
    lines = [
        f"{'model':<22}{'operation':<11}{'batch':>5}{'ours us':>10}{'theirs us':>11}{'ratio':>8}{'target':>8}"
    ]
    for r in ratios:
        reached = "reached" if r.ratio >= r.target else "missed"
        quiet = "" if r.spread <= 0.1 else f", unquiet run (spread {r.spread:.0%})"
        lines.append(
            f"{r.case:<22}{r.operation:<11}{r.batch:>5}{r.ours_us:>10.0f}{r.theirs_us:>11.0f}"
            f"{r.ratio:>8.2f}{r.target:>8.2f}  {reached}{quiet}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure all cases and print the table, or JSON with the raw values."""
    parser = argparse.ArgumentParser(prog="python -m ssd_edge_bench.ratios", description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each comparison (default 2)")
    parser.add_argument("--case", type=int, choices=range(1, len(CASES) + 1), help="only this case")
    parser.add_argument("--json", action="store_true", help="print JSON with all raw values")
    arguments = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":
        sys.exit("set OMP_NUM_THREADS=1 first: numpy, scipy and torch must all run on one thread")
    cases = CASES if arguments.case is None else (CASES[arguments.case - 1],)
    ratios = [ratio for case in cases for ratio in measure(case, arguments.seconds)]
    bandwidth = copy_bandwidth()
    if arguments.json:
        print(json.dumps({"copy_gigabytes_per_second": bandwidth, "ratios": [asdict(r) for r in ratios]}))
    else:
        print(table(ratios))
        print(f"copy bandwidth of this thread: {bandwidth:.1f} GB/s")


if __name__ == "__main__":
    main()
