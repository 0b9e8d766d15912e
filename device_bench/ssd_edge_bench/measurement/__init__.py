"""Fresh processes, raw values, intervals, results and their comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_bench.measurement.measurement import measure, measure_side_by_side
    from ssd_edge_bench.measurement.options import BenchOptions

__all__ = ["BenchOptions", "measure", "measure_side_by_side"]
__getattr__, __dir__ = lazy(
    __name__, {"measurement": ("measure", "measure_side_by_side"), "options": ("BenchOptions",)}
)
