"""Fit what ``estimate`` knows about the code: instructions per call, per operation, and multiples of the bound.

Run ``python -m ssd_edge_bench.fit_costs`` on a quiet machine and copy what it prints into ``estimate.COSTS``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from ssd_edge_bench.measurement import BenchOptions, measure
from ssd_edge_bench.reference_models import Case, random_state
from ssd_edge_bench.roofline.estimate import Cost, Key, ceilings_of, key_of
from ssd_edge_bench.roofline.roofline import count
from ssd_edge_runtime import analytic, model_file
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import ModelState, Readout

Feature = tuple[float, float, float]
MODELS = (
    (Case(256, 500, 0.20, 10, k=20), False),
    (Case(784, 1000, 0.05, 10, k=10), False),
    (Case(3072, 4000, 0.05, 10, k=10), False),
    (Case(256, 500, 0.20, 10, k=20), True),
    (Case(784, 1000, 0.05, 10, k=100), True),
    (Case(1024, 2000, 0.10, 20, k=50), True),
)
"""Shapes, and whether the readout is the closed-form one."""
BATCHES = (1, 8, 32)


def closed_form(state: ModelState) -> ModelState:
    """The same network with the closed-form readout and statistics of random codes."""
    rng = np.random.default_rng(1)
    n, classes = state.layers[0].weights.shape[0], len(state.classes)
    codes = (rng.random((300, n)) * (rng.random((300, n)) < 0.05)).astype(np.float32)
    state.readout = Readout("analytic", state.readout.weights, np.zeros(classes, np.float32))
    state.analytic, state.learning = AnalyticOptions(), None
    state.statistics = analytic.gather(codes, np.arange(300) % classes, classes)
    state.class_samples, state.samples_seen = np.full(classes, 300 // classes, np.int64), 300
    return state


def observe(case: Case, closed: bool, options: BenchOptions) -> list[tuple[Key, Feature, float]]:
    """Key, features and seconds of every row of one model."""
    state = closed_form(random_state(case)) if closed else random_state(case)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(model_file.to_bytes(state))
        document = measure(path, options)
    rows = []
    for row in document["results"]:
        key = key_of(row, state.readout.kind)
        work = count(state, row["operation"], row["batch"], dense=row["engine"] != "csr")
        if key is None or work is None:
            continue
        machine = ceilings_of(document["roofline"], row["engine"])
        rate, bound = machine.instructions_per_second, machine.bound(work)
        fast = float(np.percentile(np.concatenate(row["values_us"]), 10))  # other programs only ever add time
        rows.append((key, (1 / rate, work.operations / rate, bound), fast / 1e6))
    return rows


def fit(rows: list[tuple[Feature, float]], dense: bool) -> Cost:
    """Non-negative least squares on relative errors.

    A compressed row is followed entry by entry, so its operations are instructions, beside moving its bytes once;
    a dense product runs at a multiple of its bound.
    """
    features, seconds = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    chosen = [0, 2] if dense else [0, 1]
    moved = np.zeros(len(rows)) if dense else features[:, 2]
    scale = features.max(axis=0)[chosen]
    found, _ = nnls(features[:, chosen] / scale / seconds[:, None], 1 - moved / seconds)
    calls, each = (found / scale).tolist()
    return Cost(calls, 0.0, each) if dense else Cost(calls, each, 1.0)


def main() -> None:
    """Measure all models, fit each key, print the table."""
    options = BenchOptions(
        engines=("csr", "onnxruntime-dense"),
        operations=("predict", "learn"),
        batches=BATCHES,
        processes=3,
        seconds=0.1,
    )
    rows = []
    for case, closed in MODELS:
        print(case.name, "closed form" if closed else "gradient", file=sys.stderr)
        rows += observe(case, closed, options)
    for key in dict.fromkeys(row[0] for row in rows):
        chosen = [(features, seconds) for other, features, seconds in rows if other == key]
        cost = fit(chosen, dense=key[0] != "csr")
        print(f"    {key}: Cost({cost.instructions:.3g}, {cost.per_operation:.3g}, {cost.bounds:.3g}),")


if __name__ == "__main__":
    main()
