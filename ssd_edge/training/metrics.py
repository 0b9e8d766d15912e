"""Figures of a sequence of tasks, from the accuracy matrix.

``R[i][j]``: accuracy on task j's test data after training task i, of T tasks; numbered from 1 in the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

Matrix = Sequence[Sequence[float]]


class Summary(TypedDict):
    """What the matrix comes to."""

    average_accuracy: float
    backward_transfer: float | None
    forgetting: float | None
    learning_accuracy: float | None


def average_accuracy(r: Matrix) -> float:
    """``mean_j R[T][j]``."""
    return sum(r[-1]) / len(r[-1])


def learning_accuracy(r: Matrix) -> float:
    """``mean_i R[i][i]``: each task right after it was learned."""
    return sum(r[i][i] for i in range(len(r))) / len(r)


def backward_transfer(r: Matrix) -> float | None:
    """``1 / (T - 1) sum_{i < T} (R[T][i] - R[i][i])``; None for a single task."""
    earlier = len(r) - 1
    return sum(r[-1][i] - r[i][i] for i in range(earlier)) / earlier if earlier else None


def forgetting(r: Matrix) -> float | None:
    """``mean_{j < T} (max_{l < T} R[l][j] - R[T][j])``; None for a single task."""
    earlier = len(r) - 1
    if not earlier:
        return None
    return sum(max(row[j] for row in r[:-1]) - r[-1][j] for j in range(earlier)) / earlier


def complete(rows: Matrix) -> list[list[float]]:
    """Rows over the tasks known at the time, filled up with 0 for those to come: their classes had no row yet."""
    return [[*row, *[0.0] * (len(rows[-1]) - len(row))] for row in rows]


def summarize(r: Matrix) -> Summary:
    """All four of a square matrix; of joint training's single row over all tasks the average alone."""
    if len(r) != len(r[0]):
        single = average_accuracy(r)
        return {
            "average_accuracy": single,
            "backward_transfer": None,
            "forgetting": None,
            "learning_accuracy": None,
        }
    return {
        "average_accuracy": average_accuracy(r),
        "backward_transfer": backward_transfer(r),
        "forgetting": forgetting(r),
        "learning_accuracy": learning_accuracy(r),
    }
