"""Options of a measurement."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ssd_edge_bench.engines import ENGINES
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import require_choice

OPERATIONS = ("start", "predict", "embed", "learn", "solve", "save")
BATCHED = ("predict", "embed", "learn")
"""Those that take samples."""


@dataclass(frozen=True)
class BenchOptions:
    """What is measured, and how long."""

    engines: tuple[str, ...] = ("csr", "onnxruntime", "onnxruntime-dense")
    """Engines, in the order of the report."""
    operations: tuple[str, ...] = ("start", "predict", "embed", "learn")
    """start: import, load, first prediction; embed: the encoder alone, where there is one; solve: the closed-form
    readout; save: atomic, flushed."""
    batches: tuple[int, ...] = (1, 32)
    """Samples per call of predict, embed and learn."""
    threads: int = 1
    """Threads, and cores that the process is pinned to."""
    processes: int = 5
    """Fresh processes per engine; the intervals come from how they differ."""
    seconds: float = 0.3
    """Time per process, operation and batch."""
    max_runs: int = 2000
    """Most calls per process, operation and batch; all are kept."""
    seed: int = 0
    """Of the made-up inputs and labels."""

    def __post_init__(self) -> None:
        for engine in self.engines:
            require_choice("engines", engine, ENGINES)
        for operation in self.operations:
            require_choice("operations", operation, OPERATIONS)
        OptionError.unless(len(self.engines) > 0, "engines must name at least one engine")
        OptionError.unless(
            len(set(self.engines)) == len(self.engines), f"engines names one twice: {', '.join(self.engines)}"
        )
        OptionError.unless(len(self.operations) > 0, "operations must name at least one operation")
        OptionError.unless(len(self.batches) > 0, "batches must name at least one batch size")
        for batch in self.batches:
            OptionError.unless(1 <= batch <= 4096, f"batches must be between 1 and 4096, got {batch}")
        cores = os.cpu_count() or 1
        OptionError.unless(
            1 <= self.threads <= cores, f"threads must be between 1 and {cores} here, got {self.threads}"
        )
        OptionError.unless(
            1 <= self.processes <= 100, f"processes must be between 1 and 100, got {self.processes}"
        )
        OptionError.unless(0 < self.seconds <= 600, f"seconds must be above 0 and at most 600, got {self.seconds}")
        OptionError.unless(self.max_runs >= 10, f"max-runs must be at least 10, got {self.max_runs}")
