"""A sequence of tasks: classes in an order, split evenly."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ssd_edge_runtime.errors import DataError


def split_classes(
    classes: Sequence[str], count: int, order: int | Sequence[str] | None = None
) -> list[tuple[str, ...]]:
    """Class names of each of ``count`` tasks; where they do not divide evenly, the first tasks get one more.

    ``order``: None as they stand (by label), an integer shuffles with that seed, or the names in full.
    Raises DataError unless 1 <= count <= len(classes) and an explicit order names every class once.
    """
    if not 1 <= count <= len(classes):
        raise DataError(f"tasks must be between 1 and the number of classes ({len(classes)}), got {count}")
    names = list(classes)
    if isinstance(order, int):
        names = [names[i] for i in np.random.default_rng(order).permutation(len(names))]
    elif order is not None:
        if sorted(order) != sorted(names):
            raise DataError(f"class-order must name every class once: {', '.join(names)}")
        names = list(order)
    bounds = np.cumsum([0] + [len(part) for part in np.array_split(np.arange(len(names)), count)])
    return [tuple(names[a:b]) for a, b in pairwise(bounds)]
