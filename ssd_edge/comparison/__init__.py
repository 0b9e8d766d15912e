"""Several methods, several seeds, one table."""

from ssd_edge.comparison.comparison import compare
from ssd_edge.comparison.table import Comparison

__all__ = ["Comparison", "compare"]
