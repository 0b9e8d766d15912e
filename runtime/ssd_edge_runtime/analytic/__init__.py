"""The analytic readout, solved in closed form: statistics, Gram triangle, solver, merge, lessons."""

from ssd_edge_runtime.analytic.solver import System, prepare, rounded, solve, solve_rounded, withheld
from ssd_edge_runtime.analytic.statistics import (
    accumulate,
    add,
    check_counts,
    check_room,
    empty,
    gather,
    means,
    rest_of_sums,
    select_classes,
    squared,
    summed,
    with_classes,
    within_class_scatter,
    without,
)

__all__ = [
    "System",
    "accumulate",
    "add",
    "check_counts",
    "check_room",
    "empty",
    "gather",
    "means",
    "prepare",
    "rest_of_sums",
    "rounded",
    "select_classes",
    "solve",
    "solve_rounded",
    "squared",
    "summed",
    "with_classes",
    "withheld",
    "within_class_scatter",
    "without",
]
