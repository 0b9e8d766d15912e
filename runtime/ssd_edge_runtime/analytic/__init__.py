"""The analytic readout, solved in closed form: statistics, Gram triangle, solver, merge, lessons."""

from ssd_edge_runtime.analytic.solver import System, prepare, rounded, solve, solve_rounded, withheld
from ssd_edge_runtime.analytic.statistics import (
    accumulate,
    add,
    empty,
    forget_mean,
    gather,
    means,
    select_classes,
    subtract,
    with_classes,
    within_class_scatter,
    without,
)

__all__ = [
    "System",
    "accumulate",
    "add",
    "empty",
    "forget_mean",
    "gather",
    "means",
    "prepare",
    "rounded",
    "select_classes",
    "solve",
    "solve_rounded",
    "subtract",
    "with_classes",
    "withheld",
    "within_class_scatter",
    "without",
]
