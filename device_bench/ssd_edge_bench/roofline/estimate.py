"""What a model would take on a board that is not here: an estimate, and the same estimate for this machine.

A call is taken to cost ``(a + b F) / s + c * bound``: a call's own instructions and those per counted operation F,
at the rate s at which the core runs branching code, and a multiple of the roofline's bound. a, b and c belong to
the code and were fitted once, on one machine (:mod:`ssd_edge_bench.fit_costs`); s and the bound belong to the
machine.
"""

from __future__ import annotations

import lzma
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssd_edge_bench.roofline.boards import Profile
from ssd_edge_bench.roofline.roofline import Ceilings, Work, best_seconds, count, weight_bytes
from ssd_edge_runtime.state import ModelState

Key = tuple[str, str, str]
"""Engine, operation (learning with its kind of readout), and whether one sample or many are given at once."""
PACKED, UNPACKED = 220, 8
"""Instructions per byte that 7-Zip counts while decoding (``GetDecompressRating`` in its Bench.cpp)."""


@dataclass(frozen=True)
class Cost:
    """What a call costs, whatever the machine."""

    instructions: float
    per_operation: float
    bounds: float

    def seconds(self, work: Work, machine: Ceilings) -> float:
        """Estimated time of a call on a machine."""
        own = self.instructions + self.per_operation * work.operations
        return own / machine.instructions_per_second + self.bounds * machine.bound(work)


COSTS: dict[Key, Cost] = {
    ("csr", "predict", "one"): Cost(7.9e4, 0.94, 1),
    ("csr", "predict", "many"): Cost(4.2e5, 0.41, 1),
    ("csr", "learn gradient", "one"): Cost(3.7e5, 1.0, 1),
    ("csr", "learn gradient", "many"): Cost(1.2e6, 0.50, 1),
    ("csr", "learn analytic", "one"): Cost(3.0e5, 1.2, 1),
    ("csr", "learn analytic", "many"): Cost(1.1e6, 0.90, 1),
    ("onnxruntime-dense", "predict", "one"): Cost(6.0e4, 0, 1.4),
    ("onnxruntime-dense", "predict", "many"): Cost(1.7e5, 0, 0.93),
}
"""As fitted on two cores of an AMD EPYC (Zen 5) with Python 3.11, numpy 2 and ONNX Runtime, on six models."""


def key_of(row: dict[str, Any], readout: str) -> Key | None:
    """Which costs a row of the results has; None for what is not estimated."""
    engine = {"onnxruntime": "onnxruntime-dense"}.get(row["engine"], row["engine"])
    if row["operation"] not in ("predict", "learn") or engine not in ("csr", "onnxruntime-dense"):
        return None
    operation = f"learn {readout}" if row["operation"] == "learn" else "predict"
    return engine, operation, "one" if row["batch"] == 1 else "many"


def ceilings_of(roofline: dict[str, Any], engine: str) -> Ceilings:
    """This machine's ceilings out of a document's ``roofline``, for the form of weights that ``engine`` reads."""
    rate = roofline["bytes_per_second" if engine == "csr" else "bytes_per_second_dense"]
    others = ("dram_bytes_per_second", "operations_per_second", "instructions_per_second")
    return Ceilings(rate, *(roofline[name] for name in others))


def instruction_rate() -> float:
    """Instructions a second of one core on branching code, as 7-Zip's benchmark counts them while decoding."""
    rng = np.random.default_rng(0)
    words = [bytes(rng.integers(97, 123, size).astype(np.uint8)) for size in rng.integers(2, 9, 4000)]
    weights = 1 / np.arange(1, len(words) + 1)
    text = b" ".join(words[i] for i in rng.choice(len(words), 20_000, p=weights / weights.sum()))
    packed = lzma.compress(text, preset=1)
    return (PACKED * len(packed) + UNPACKED * len(text)) / best_seconds(lambda: lzma.decompress(packed))


def estimate(document: dict[str, Any], state: ModelState, board: Profile) -> dict[str, Any]:
    """One entry of the document's ``estimates``: a board, and this machine by the same method beside what it took.

    The document must hold a ``roofline``. ``here_error`` is measured / estimated on this machine.
    """
    rows = []
    for row in document["results"]:
        key, dense = key_of(row, state.readout.kind), row["engine"] != "csr"
        work = count(state, row["operation"], row["batch"], dense=dense)
        if key is None or work is None:
            continue
        machine = board.ceilings(weight_bytes(state, dense=dense))
        there = 1e6 * COSTS[key].seconds(work, machine)
        here = 1e6 * COSTS[key].seconds(work, ceilings_of(document["roofline"], row["engine"]))
        rows.append(
            {
                **{name: row[name] for name in ("engine", "operation", "batch")},
                "estimated_us": there,
                "estimated_samples_per_second": row["batch"] * 1e6 / there,
                "bound_us": 1e6 * machine.bound(work),
                "here_estimated_us": here,
                "here_measured_us": row["p50_us"],
                "here_error": row["p50_us"] / here,
            }
        )
    return {"board": board.name, "estimate": True, "rows": rows, "sources": board.sources}


def typical_error(entry: dict[str, Any]) -> float:
    """The factor by which the method misses on this machine: the geometric mean over rows, at least 1."""
    logs = [abs(math.log(row["here_error"])) for row in entry["rows"]]
    return math.exp(sum(logs) / len(logs)) if logs else 1.0
