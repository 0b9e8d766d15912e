"""The samples that belong to a run: those it was trained on, and those held out from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ssd_edge.data import Dataset
from ssd_edge.training import Run
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError

SPLIT_SEED = 0
CALIBRATION_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Samples:
    """Inputs float32 (N, *input_shape) and labels int64 (N,), indices into the network's classes."""

    x: Float32
    y: Int64

    def __len__(self) -> int:
        return len(self.y)


def samples_of(data: Dataset, classes: list[str]) -> Samples:
    """The samples of ``data``, labelled by their place in ``classes``.

    Raises DataError where ``data`` knows a class that is not among them.
    """
    for name in data.classes:
        if name not in classes:
            raise DataError(f"class {name!r} is not one of the model's: {', '.join(classes)}")
    number = np.array([classes.index(name) for name in data.classes], np.int64)
    return Samples(np.ascontiguousarray(data.x), number[data.y])


def task_names(run: Run) -> list[list[str]]:
    """Class names of every task trained, in order."""
    tasks = run.metrics.get("tasks")
    return [list(task["classes"]) for task in tasks] if tasks else [list(run.network.classes)]


def run_samples(run: Run, data: Dataset | None = None) -> tuple[Samples, Samples | None]:
    """What the run was trained on, and what was held out from that training (None without a hold-out).

    ``data``: all training samples, where the run cannot load them itself.
    """
    training = run.training_data() if data is None else data
    classes = run.network.classes
    if not run.config.hold_out:
        return samples_of(training, classes), None
    parts = [training.select(names).hold_out(run.config.hold_out, run.config.seed) for names in task_names(run)]
    rest = [samples_of(part, classes) for part, _ in parts]
    held = [samples_of(part, classes) for _, part in parts]
    return concatenate(rest), concatenate(held)


def concatenate(parts: list[Samples]) -> Samples:
    """One after the other."""
    return Samples(np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts]))


def every_tenth(samples: Samples) -> Int64:
    """A fixed random tenth of every class, int64 ascending: the split that fits the analytic temperature.

    A class keeps at least one sample in the rest.
    """
    rng = np.random.default_rng(SPLIT_SEED)
    chosen = []
    for label in np.unique(samples.y):
        members = rng.permutation(np.flatnonzero(samples.y == label))
        chosen.append(members[: min(max(1, round(CALIBRATION_SHARE * len(members))), len(members) - 1)])
    return np.sort(np.concatenate(chosen)).astype(np.int64)
