"""A solved readout as a file would hold it."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.model_file.codecs import HALF_MAX, round_values
from ssd_edge_runtime.options import ValuesType
from ssd_edge_runtime.state import Readout


def rounded(weights: Float32, bias: Float32, values_type: ValuesType) -> tuple[Readout, ValuesType]:
    """The analytic readout V (classes, n), b (classes,) rounded to ``values_type``, or the type that it needs.

    A readout solved from few samples has entries of up to n / rho and may outgrow float16. What was learned must
    be savable, so that it is float32 then, which a larger file takes.
    """
    if values_type == "float16" and np.abs(weights).max(initial=0.0) > HALF_MAX:
        values_type = "float32"
    if values_type != "float32":
        weights = round_values(weights, values_type, "readout.values")
    return Readout("analytic", weights, bias), values_type
