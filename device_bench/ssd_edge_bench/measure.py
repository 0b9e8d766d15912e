"""Measure one model: every engine in fresh, pinned processes, taken in turns so that drift hits all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_bench.engines import missing
from ssd_edge_bench.machine import machine_facts, usable_cores
from ssd_edge_bench.options import BenchOptions
from ssd_edge_bench.prepare import prepare
from ssd_edge_bench.results import SCHEMA, result_rows, stability
from ssd_edge_runtime import EdgeModelError, format
from ssd_edge_runtime.state import ModelState

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
LEAST_RUNS = 3
SAMPLES = 256


def measure(
    model: str | Path,
    options: BenchOptions | None = None,
    *,
    samples: np.ndarray[Any, np.dtype[np.float32]] | None = None,
    advance: Callable[[str], None] = lambda message: None,
) -> dict[str, Any]:
    """Measure ``model`` on this machine and return the document that ``bench --json`` prints.

    ``samples`` float32 (N, *input_shape) replace made-up inputs. ``advance`` is called before each process.
    Raises EdgeModelError for a file that cannot be loaded, and where an engine fails.
    """
    options = options or BenchOptions()
    path = Path(model)
    state = format.load(path)
    with tempfile.TemporaryDirectory(prefix="ssd-edge-bench-") as folder:
        jobs, engines = _jobs(path, state, options, samples, Path(folder))
        answers: dict[str, list[dict[str, Any]]] = {engine: [] for engine in jobs}
        for turn in range(options.processes):
            for engine, job in jobs.items():
                advance(f"{engine}, process {turn + 1} of {options.processes}")
                answers[engine].append(run_worker(job))
    return _document(path, state, options, engines, answers)


def run_worker(job: dict[str, Any]) -> dict[str, Any]:
    """Run one job in a fresh process; raises EdgeModelError with the worker's last words where it fails."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(job["threads"]))
    command = [sys.executable, "-P", "-m", "ssd_edge_bench.worker"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise EdgeModelError(f"bench: engine {job['engine']} failed: {last}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def _jobs(
    path: Path,
    state: ModelState,
    options: BenchOptions,
    samples: np.ndarray[Any, np.dtype[np.float32]] | None,
    folder: Path,
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """A job per engine that can run here, and a line of the report per engine asked for."""
    count = max(SAMPLES, *options.batches)
    rng = np.random.default_rng(options.seed)
    x = rng.random((count, *state.input_shape), np.float32) if samples is None else _cycled(samples, count)
    np.save(folder / "inputs.npy", x)
    labels = [state.classes[i] for i in rng.integers(len(state.classes), size=count)]
    jobs: dict[str, dict[str, Any]] = {}
    lines: list[dict[str, Any]] = []
    for engine in options.engines:
        reason = missing(engine)
        lines.append({"engine": engine, "skipped": reason})
        if reason is None:
            file = prepare(engine, path, folder)
            lines[-1]["file_bytes"] = file.stat().st_size
            jobs[engine] = _job(engine, file, options) | {
                "inputs": str(folder / "inputs.npy"),
                "labels": labels,
                "scratch": str(folder / "saved.onnx"),
            }
    return jobs, lines


def _job(engine: str, file: Path, options: BenchOptions) -> dict[str, Any]:
    return {
        "engine": engine,
        "model": str(file),
        "batches": options.batches,
        "operations": options.operations,
        "threads": options.threads,
        "seconds": options.seconds,
        "runs": [LEAST_RUNS, options.max_runs],
        "cores": pinned_cores(options.threads),
    }


def pinned_cores(threads: int) -> list[int]:
    """The last cores that this process may use: the first one serves most interrupts. Empty: no pinning here."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))[-threads:]


def _cycled(samples: np.ndarray[Any, np.dtype[np.float32]], count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return samples[np.arange(count) % len(samples)]


def _document(
    path: Path,
    state: ModelState,
    options: BenchOptions,
    engines: list[dict[str, Any]],
    answers: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    for line in engines:
        if line["skipped"] is None:
            line["peak_rss_bytes"] = max(answer["peak_rss_bytes"] for answer in answers[line["engine"]])
    results = result_rows(answers, options.operations)
    machine = machine_facts()
    first = next((line for line in engines if line["skipped"] is None), {})
    return {
        "schema": SCHEMA,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "conditions": {
            "threads": options.threads,
            "pinned_to_cores": pinned_cores(options.threads) or None,
            "processes": options.processes,
            "seconds": options.seconds,
        },
        "model": describe_model(path, state),
        "engines": engines,
        "results": results,
        "stability": stability(results, machine, usable_cores()),
        "file_bytes": path.stat().st_size,
        "peak_rss_bytes": first.get("peak_rss_bytes"),
    }


def describe_model(path: Path, state: ModelState) -> dict[str, Any]:
    """What was measured, as far as it decides the cost."""
    layers = [
        {"shape": list(layer.weights.shape), "nonzeros": layer.weights.nonzeros, "k": layer.k}
        for layer in state.layers
    ]
    return {
        "file": path.name,
        "digest": format.digest_of(path.read_bytes()),
        "classes": len(state.classes),
        "input_shape": list(state.input_shape),
        "readout": state.readout.kind,
        "values": state.values_type,
        "learning_state": state.has_learning_state,
        "layers": layers,
    }
