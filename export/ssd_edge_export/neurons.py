"""Which neurons are active, reused or free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssd_edge_runtime.arrays import Int64


def least_active(activation_count: Int64, share: float) -> Int64:
    """The ``round(share * n)`` least active neurons, int64 ascending; ties go to the lower index."""
    count = round(share * len(activation_count))
    return np.sort(np.argsort(activation_count, kind="stable")[:count]).astype(np.int64)


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
