"""Measure one model: every engine in fresh, pinned processes, taken in turns so that drift hits all alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_bench.engines import missing
from ssd_edge_bench.engines.prepare import prepare
from ssd_edge_bench.machine import energy
from ssd_edge_bench.machine.facts import machine_facts, usable_cores
from ssd_edge_bench.measurement.options import BenchOptions
from ssd_edge_bench.measurement.results import SCHEMA, result_rows, stability
from ssd_edge_bench.roofline.roofline import Ceilings, describe, weight_bytes
from ssd_edge_runtime import EdgeModelError, model_file
from ssd_edge_runtime.confinement import Limits, Watch
from ssd_edge_runtime.network.engines import limits_of
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import Source, load_state
from ssd_edge_runtime.storage.folders import scratch

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
LEAST_RUNS = 3
PER_BYTE = 16
"""Bytes of memory that a process may take for each byte of a file."""
SAMPLES = 256


Samples = np.ndarray[Any, np.dtype[np.float32]]
Progress = Callable[[int, int], None]


def unwatched(done: int, total: int) -> None:
    """The progress that nobody watches."""


def measure(
    model: str | Path,
    options: BenchOptions = BenchOptions(),
    *,
    samples: Samples | None = None,
    progress: Progress = unwatched,
) -> dict[str, Any]:
    """Measure ``model`` on this machine and return the document that ``bench --json`` prints.

    ``samples`` float32 (N, *input_shape) replace made-up inputs. ``progress`` counts processes, of all engines.
    Raises EdgeModelError for a file that cannot be loaded, and where an engine fails.
    """
    return measure_side_by_side([model], options, samples=samples, progress=progress)[0]


def measure_side_by_side(
    models: Sequence[str | Path],
    options: BenchOptions = BenchOptions(),
    *,
    samples: Samples | None = None,
    progress: Progress = unwatched,
    trusted: Sequence[str | Path] = (),
    allow_older: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> list[dict[str, Any]]:
    """Like :func:`measure` for several models, whose processes take turns too.

    ``trusted`` and ``allow_older`` are as in ``EdgeModel.load``. The processes of a model whose encoder no trusted
    key has signed have limits of memory and time, which ``tell`` hears of; where one is stopped, EdgeModelError.
    """
    paths = [Path(model) for model in models]
    loaded = [load_state(path, trusted=trusted, allow_older=allow_older) for path in paths]
    states = [state for state, _ in loaded]
    limits = [limits_for(state, path, options) for state, path in zip(states, paths, strict=True)]
    for path, limit in zip(paths, limits, strict=True):
        if limit is not None:
            tell(f"note: no trusted key has signed the encoder in {path}: each process may take {limit}")
    with scratch() as folder:
        plans = []
        for number, (state, source) in enumerate(loaded):
            place = folder / str(number)
            place.mkdir()
            plans.append(_jobs(copied(source, place), state, options, samples, place))
        answers: list[dict[str, list[dict[str, Any]]]] = [{engine: [] for engine in jobs} for jobs, _ in plans]
        done, total = 0, options.processes * sum(len(jobs) for jobs, _ in plans)
        for _ in range(options.processes):
            for (jobs, _), found, limit in zip(plans, answers, limits, strict=True):
                for engine, job in jobs.items():
                    found[engine].append(run_worker(job, limit))
                    done += 1
                    progress(done, total)
    return [
        _document(path, state, options, engines, found)
        for path, state, (_, engines), found in zip(paths, states, plans, answers, strict=True)
    ]


def copied(source: Source, folder: Path) -> Path:
    """A copy that the engines open: what was read and found to be trusted, whatever becomes of the file."""
    data = model_file.read_file(source.path)
    unchanged = model_file.digest_of(data) == source.digest
    EdgeModelError.unless(unchanged, f"{source.path} changed while it was read: measure it again")
    own = folder / "model.onnx"
    own.write_bytes(data)
    return own


def limits_for(state: ModelState, path: Path, options: BenchOptions) -> Limits | None:
    """What a process may take that measures a stranger's encoder; None where it is none.

    Memory as anywhere, and for the copies that learning and saving make; a minute, and twice the time that is
    measured, for the start and for each operation at each batch.
    """
    limits = limits_of(state)
    if limits is None:
        return None
    parts = 1 + len(options.operations) * len(options.batches)
    return Limits(limits.memory + PER_BYTE * path.stat().st_size, parts * (limits.seconds + 2 * options.seconds))


def run_worker(job: dict[str, Any], limits: Limits | None = None) -> dict[str, Any]:
    """Measure one engine in a fresh process; raises EdgeModelError with its last words where it fails."""
    return run_module("ssd_edge_bench.measurement.worker", job, f"engine {job['engine']}", limits)


def run_module(module: str, job: dict[str, Any], what: str, limits: Limits | None = None) -> dict[str, Any]:
    """Run ``module`` in a fresh process with its threads set from the start: JSON in, JSON out."""
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(job["threads"]))
    command = [sys.executable, "-P", "-m", module]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, env=environment, **pipes) as process:  # type: ignore[call-overload]
        try:
            with nullcontext() if limits is None else Watch(process, limits) as watch:
                output, words = process.communicate(json.dumps(job))
        except BaseException:
            process.kill()
            raise
    if watch is not None and watch.reason is not None:
        raise EdgeModelError(f"bench: {what} was stopped: {watch.reason}")
    if process.returncode != 0:
        last = (words.strip().splitlines() or ["no message"])[-1]
        raise EdgeModelError(f"bench: {what} failed: {last}")
    answer: dict[str, Any] = json.loads(output)
    return answer


def probe_ceilings(state: ModelState) -> tuple[Ceilings, Ceilings]:
    """The machine's bounds on one thread, for the weights as compressed rows and as a dense matrix."""
    sizes = [weight_bytes(state), weight_bytes(state, dense=True)]
    job = {"sizes": sizes, "threads": 1, "cores": pinned_cores(1)}
    found = run_module("ssd_edge_bench.roofline.probe", job, "the probe")
    others = (found["dram"], found["operations"], found["instructions"])
    sparse, dense = (Ceilings(rate, *others) for rate in found["reads"])
    return sparse, dense


def _jobs(
    path: Path,
    state: ModelState,
    options: BenchOptions,
    samples: Samples | None,
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
        reason = missing(engine, encoded=state.encoder is not None)
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


def _cycled(samples: Samples, count: int) -> Samples:
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
    # What an encoder moves and computes is not known here, and the rest is little beside it.
    counted = options.threads == 1 and state.encoder is None
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
        "roofline": describe(state, *probe_ceilings(state), results) if counted else None,
        "energy": energy.describe(),
        "file_bytes": path.stat().st_size,
        "inference_bytes": len(model_file.to_bytes(state, learning_state=False)),
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
        "digest": model_file.digest_of(path.read_bytes()),
        "classes": len(state.classes),
        "input_shape": list(state.input_shape),
        "encoder": None if state.encoder is None else {"name": state.encoder.name, "bytes": state.encoder.nbytes},
        "readout": state.readout.kind,
        "values": state.values_type,
        "learning_state": state.has_learning_state,
        "layers": layers,
    }
