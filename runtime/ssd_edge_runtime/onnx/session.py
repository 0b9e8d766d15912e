"""ONNX Runtime, where it is installed: sessions on the CPU that say in one line what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError, first_line

QUIET = 4
"""Severity below which ONNX Runtime logs nothing: what matters is raised."""


def open_session(model: bytes | Path, threads: int) -> Any:
    """An ``InferenceSession`` on a model, or on the file that holds one.

    Raises ImportError without onnxruntime, :class:`EdgeModelError` where it does not take the model.
    """
    import onnxruntime

    # For builds that do not read the environment, and for those that were loaded before this package.
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = QUIET
    try:
        # Its fallback would try the same again, after printing to standard output.
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # whatever it raises about a foreign graph
        raise EdgeModelError(first_line(error)) from error


def run_session(session: Any, output: str, x: Float32) -> Any:
    """One output for the input ``input``. Raises :class:`EdgeModelError` where the graph fails on it."""
    try:
        return session.run([output], {"input": x})[0]
    except Exception as error:  # the same, when it runs
        raise EdgeModelError(first_line(error)) from error
