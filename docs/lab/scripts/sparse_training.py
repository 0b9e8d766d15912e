"""Rules for sparse training at equal non-zeros: Fashion-MNIST, five tasks, on a hold-out; see sparse-training.md.

    python docs/lab/scripts/sparse_training.py docs/lab/results/sparse-training.json --seeds 3

Rows that are in the file already are kept. No test sample is looked at: of 24,000 training images a quarter is
held out.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ssd_edge
from ssd_edge.data import Dataset
from ssd_edge.training import Run
from ssd_edge.training.evaluate import accuracies
from ssd_edge.training.statistics import gather, solve
from ssd_edge.training.task_data import Part
from ssd_edge_export.export import state_of_run
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.options import AnalyticOptions

COMMON: dict[str, Any] = {
    **{"method": "ssd", "tasks": 5, "hidden": (1000,), "k": (10,), "hold_out": 0.25, "nonnegative": False},
    **{"center": 0.5, "lr": 16.0, "clip_norm": 0.1, "epochs": 2, "readout_init": 0.25, "switch": 0.4},
    **{"protect": 0.01, "ssd": {"temperature": 0.4}, "device": "cpu", "density": 0.05},
}
EVERY = {"every": 10, "batches": 4}
"""A task of these takes 58 steps."""
ROWS: dict[str, dict[str, Any]] = {
    "dense": {"density": 1.0},
    "fixed, 20 %": {"density": 0.2},
    "fixed": {},
    "set": {"method": "ssd+set", "set": {"every": 10}},
    "rigl": {"method": "ssd+rigl", "rigl": EVERY},
    "srigl": {"method": "ssd+srigl", "srigl": EVERY},
    "g2gnet": {"method": "ssd+g2gnet", "g2gnet": EVERY},
    "adagrad, lr .1": {"method": "ssd+adagrad", "lr": 0.1, "adagrad": {"initial": 1e-4, "largest": 0.1}},
    "adagrad, lr .5": {"method": "ssd+adagrad", "lr": 0.5, "adagrad": {"initial": 1e-4, "largest": 0.1}},
    "classp, lr .02": {"method": "ssd+classp", "lr": 0.02},
    "classp, lr .1": {"method": "ssd+classp", "lr": 0.1},
}


def samples() -> Dataset:
    """24,000 of the training part, the same for all rows."""
    data = ssd_edge.load_data("fashion-mnist", split="train")
    chosen = np.sort(np.random.default_rng(0).permutation(len(data.y))[:24_000])
    return Dataset(data.x[chosen], data.y[chosen], data.classes)


def closed_form(run: Run, data: Dataset) -> float:
    """Accuracy of the closed form on the final codes, solved on three quarters of the samples, on the others."""
    network = run.network.frozen_copy()
    u = network.preprocess(torch.from_numpy(data.x))
    order = np.array([network.classes.index(name) for name in data.classes])
    y = torch.from_numpy(order[data.y])
    held = torch.from_numpy(np.random.default_rng(1).random(len(y)) < 0.25)
    readout = solve(gather(network, [Part(u[~held], y[~held])]), AnalyticOptions(), torch.device("cpu"))
    return float(np.mean(accuracies(network, [Part(u[held], y[held])], readout)))


def step_ms(run: Run, data: Dataset) -> float:
    """Milliseconds of a learning step of 16 samples on the device, the median of 100."""
    model, found = EdgeModel(state_of_run(run)), []
    for at in range(0, 16 * 110, 16):
        x, labels = data.x[at : at + 16], [data.classes[i] for i in data.y[at : at + 16]]
        start = time.perf_counter()
        model.partial_fit(x, labels)
        found.append(time.perf_counter() - start)
    return 1000.0 * float(np.median(found[10:]))


def measure(name: str, seed: int, data: Dataset, few: Dataset) -> dict[str, Any]:
    """One training."""
    run = ssd_edge.train(data, test=few, seed=seed, **COMMON | ROWS[name])
    held = run.metrics["hold_out"]
    layer = run.network.topk_layers[0]
    kept = layer.weight.numel() if layer.mask is None else int(layer.mask.sum())
    return {
        **{"row": name, "seed": seed, "nonzeros": kept, "gradient": held["average_accuracy"]},
        **{"first_task": held["accuracy_matrix"][-1][0], "learning": held["learning_accuracy"]},
        **{"closed_form": closed_form(run, data), "step_ms": step_ms(run, data)},
        "units": run.metrics["tasks"][-1],
    }


def main() -> None:
    """Train what is missing, seed by seed, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", default="; ".join(ROWS), help="some of them, joined by ;")
    given = parser.parse_args()
    found = json.loads(given.results.read_text()) if given.results.exists() else []
    data = samples()
    few = Dataset(data.x[:1000], data.y[:1000], data.classes)
    for seed in range(given.seeds):
        for name in given.rows.split("; "):
            if any(each["row"] == name and each["seed"] == seed for each in found):
                continue
            found.append(measure(name, seed, data, few))
            given.results.write_text(json.dumps(found, indent=1) + "\n")
            print(json.dumps({key: value for key, value in found[-1].items() if key != "units"}), flush=True)


if __name__ == "__main__":
    main()
