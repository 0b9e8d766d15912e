"""How a file came to be: what its manifest says under ``provenance``."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssd_edge.training import Run
from ssd_edge_export.options import PruneOptions
from ssd_edge_runtime import __version__
from ssd_edge_runtime.arrays import Int64

TRAINING = (
    *("seed", "hidden", "k", "center", "normalize", "sketch", "activation", "nonnegative", "epochs"),
    *("batch_size", "lr", "tasks", "base_tasks"),
)


def versions() -> dict[str, str]:
    """Versions of what made the file."""
    return {
        "ssd_edge": __version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def run_provenance(run: Run, readout: str, values: str) -> dict[str, Any]:
    """Data, method, tasks and pruning of a run."""
    training = {name: _plain(getattr(run.config, name)) for name in TRAINING}
    return {
        "data": run.config.data,
        "method": run.config.method,
        "tasks_trained": run.tasks_trained,
        "hold_out": run.config.hold_out,
        "training": training,
        **encoder(run),
        "readout": {"trained": run.config.readout, "shipped": readout},
        "values": values,
        **run.provenance,
        "versions": versions(),
    }


def encoder(run: Run) -> dict[str, Any]:
    """Where the encoder in front came from; paths by their names alone."""
    config = run.config
    if config.encoder is None:
        return {}
    weights = None if config.encoder_weights is None else Path(config.encoder_weights).name
    return {"encoder": {"name": Path(config.encoder).name, "weights": weights, "size": config.encoder_size}}


def weights_provenance(values: str, prune: PruneOptions | None) -> dict[str, Any]:
    """Of weights that came from elsewhere."""
    pruned = {} if prune is None else {"prune": {"density": prune.density, "criterion": prune.criterion}}
    return {
        "data": None,
        "method": "weights given by the user",
        "values": values,
        **pruned,
        "versions": versions(),
    }


def usage(class_count: Int64, tasks: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Active, reused and free neurons after each task, from counts per class int64 (classes, n).

    ``tasks``: class indices of each. After a task, a neuron is active in it where it fired for one of its classes,
    reused where it had also fired for a class of an earlier task, new where it had not, and free where it has
    fired for no class so far.
    """
    neurons = class_count.shape[1]
    before = np.zeros(neurons, np.bool_)
    per_task = []
    for classes in tasks:
        active = class_count[list(classes)].sum(axis=0) > 0
        per_task.append(
            {
                "active": int(active.sum()),
                "reused": int((active & before).sum()),
                "new": int((active & ~before).sum()),
                "free": int(neurons - (active | before).sum()),
            }
        )
        before |= active
    return {"neurons": neurons, "tasks": per_task}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
