"""How many neurons a network uses, and how much classes share them: the tables of ``docs/lab/ssd.md``.

``python docs/lab/scripts/sharing.py`` trains eight networks on Split Fashion-MNIST, a minute each on one core, and
prints both tables. Test samples, seed 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import ssd_edge
from ssd_edge.data import Dataset
from ssd_edge_export import calibrate
from ssd_edge_runtime.analytic import solve
from ssd_edge_runtime.options import AnalyticOptions

Frequencies = NDArray[np.float64]
SHORT = {"epochs": 2, "lr": 0.4, "clip_norm": 0.3, "switch": 0.4, "readout_init": 0.7}
LONG = SHORT | {"lr": 4.0}
STEPS: dict[str, dict[str, Any]] = {
    "non-negative, lr .4": SHORT,
    "signed, lr .4": SHORT | {"nonnegative": False},
    "non-negative, lr 4": LONG,
    "signed, centered, lr 4": LONG | {"nonnegative": False, "center": True},
    "signed, lr 4": LONG | {"nonnegative": False},
}
DISTILLATION = {"alpha": 0.5, "temperature": 0.4}
METHODS: dict[str, dict[str, Any]] = {
    "sdmlp": SHORT | {"method": "sdmlp"},
    "ssd": SHORT | {"method": "ssd", "ssd": DISTILLATION},
    "ssd+ewc": SHORT | {"method": "ssd+ewc", "ssd": DISTILLATION, "ewc": {"beta": 0.5, "strength": 100.0}},
}
USED = 0.01
"""A neuron counts as in use where it fires for at least this share of all samples."""


def trained(options: dict[str, Any]) -> ssd_edge.Run:
    """A network after five tasks."""
    return ssd_edge.train("fashion-mnist", tasks=5, hidden=(1000,), k=(10,), **options)


def codes(run: ssd_edge.Run, data: Dataset) -> torch.Tensor:
    """What the readout sees of all samples."""
    with torch.no_grad():
        return torch.cat([run.network.codes(x)[-1] for x in torch.from_numpy(data.x).split(1000)])


def frequencies(run: ssd_edge.Run, data: Dataset) -> Frequencies:
    """(classes, n): for which share of a class's samples each neuron fires."""
    fired = (codes(run, data) > 0).double().numpy()
    return np.stack([fired[data.y == label].mean(axis=0) for label in range(len(data.classes))])


def shared(found: Frequencies, one: int, other: int) -> float:
    """Share of the neurons that fire for one class that fire for the other too."""
    return float(np.minimum(found[one], found[other]).sum() / found[one].sum())


def steps_table() -> Iterator[str]:
    """One row for each kind of step."""
    yield "| | neurons in use, of 1000 | sharing | shirt with coat | shirt with T-shirt |"
    yield "|---|---|---|---|---|"
    for name, options in STEPS.items():
        run = trained(options | {"method": "sdmlp"})
        data = run.test_data()
        found = frequencies(run, data)
        place = {label: number for number, label in enumerate(data.classes)}
        pairs = [shared(found, *pair) for pair in combinations(range(len(data.classes)), 2)]
        cells = [np.mean(pairs), shared(found, place["Shirt"], place["Coat"])]
        cells.append(shared(found, place["Shirt"], place["T-shirt/top"]))
        used = int((found.mean(axis=0) >= USED).sum())
        yield f"| {name} | {used} | {' | '.join(f'{cell:.2f}' for cell in cells)} |"


def closed_form(run: ssd_edge.Run) -> float:
    """Accuracy of a closed-form readout of the same codes, solved on the data of all tasks."""
    data, test = run.training_data(), run.test_data()
    statistics = calibrate(run.network, data.x, data.y).statistics
    assert statistics is not None
    weights, bias = solve(statistics, AnalyticOptions())
    logits = codes(run, test).numpy() @ weights.T + bias
    return float((logits.argmax(axis=1) == test.y).mean())


def methods_table() -> Iterator[str]:
    """What is lost, and where."""
    yield "| | sdmlp | ssd | ssd+ewc |"
    yield "|---|---|---|---|"
    columns = [accuracies(trained(options)) for options in METHODS.values()]
    told = (
        "all ten classes asked",
        "only the two classes of the sample's task asked",
        "closed form on the same codes",
    )
    for row, name in enumerate(told):
        yield f"| {name} | {' | '.join(f'{column[row]:.3f}' for column in columns)} |"


def accuracies(run: ssd_edge.Run) -> tuple[float, float, float]:
    """Over all classes, within each task, and by the closed form."""
    data = run.test_data()
    with torch.no_grad():
        logits = torch.cat([run.network(x) for x in torch.from_numpy(data.x).split(1000)]).numpy()
    task = np.arange(len(data.classes)) // 2
    within = np.where(task[None, :] == task[data.y][:, None], logits, -np.inf)
    right = [float((each.argmax(axis=1) == data.y).mean()) for each in (logits, within)]
    return right[0], right[1], closed_form(run)


if __name__ == "__main__":
    for line in chain(steps_table(), [""], methods_table()):
        print(line, flush=True)
