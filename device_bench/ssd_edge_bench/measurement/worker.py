"""One engine measured in this process: a job as JSON on standard input, raw timings as JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ssd_edge_bench.engines import Engine, Operations, open_engine
from ssd_edge_bench.machine import energy
from ssd_edge_bench.measurement.options import BATCHED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WARM_UP_CALLS = 2
WARM_UP_SHARE = 0.25


def main() -> None:
    """Read the job, pin, measure, answer."""
    begun = time.perf_counter_ns()
    job = json.load(sys.stdin)
    if hasattr(os, "sched_setaffinity") and job["cores"]:
        os.sched_setaffinity(0, job["cores"])
    begun_cpu = time.perf_counter_ns()
    answer = measure(job)
    answer["read_job_us"] = (begun_cpu - begun) / 1e3
    json.dump(answer, sys.stdout)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Start, then every operation at every batch; values in microseconds, one per call."""
    begun = time.perf_counter_ns()
    engine = open_engine(job["engine"], Path(job["model"]), job["threads"])
    import numpy as np

    x = np.load(job["inputs"], mmap_mode="r")
    engine.predict(np.ascontiguousarray(x[:1]))
    start = (time.perf_counter_ns() - begun) / 1e3
    answer: dict[str, Any] = {"start_us": start, "peak_rss_bytes": peak_rss(), "operations": []}
    for operation in ("predict", *engine.operations):
        if operation in job["operations"]:
            answer["operations"] += _operation(engine, operation, job, np.array(x), np.array(job["labels"]))
            answer[f"peak_rss_{operation}_bytes"] = peak_rss()
    return answer


def _operation(
    engine: Engine, operation: str, job: dict[str, Any], x: NDArray[np.float32], y: NDArray[np.str_]
) -> list[dict[str, Any]]:
    rows = []
    for batch in job["batches"] if operation in BATCHED else [1]:
        call, before = _calls(engine, operation, job, x, y, batch)
        done = warm_up(call, before, job["seconds"] * WARM_UP_SHARE, job["runs"][1])
        counter, begun = energy.read(), time.perf_counter()
        values = time_calls(call, before, done, job["seconds"], job["runs"])
        joules = energy.since(counter, time.perf_counter() - begun)
        rows.append({"operation": operation, "batch": batch, "values_us": values, "joules": joules})
    return rows


Call = Callable[[int], Any]


def _calls(
    engine: Engine,
    operation: str,
    job: dict[str, Any],
    x: NDArray[np.float32],
    y: NDArray[np.str_],
    batch: int,
) -> tuple[Call, Call]:
    """The i-th timed call and what must happen, untimed, before it."""
    named = cast(Operations, engine)  # only operations that it names are asked for
    slots = max(1, len(x) // batch)

    def part(i: int) -> slice:
        return slice(i % slots * batch, (i % slots + 1) * batch)

    def learn(i: int) -> None:
        named.learn(x[part(i)], y[part(i)])

    def nothing(_: int) -> None:
        return None

    if operation == "predict":
        return lambda i: engine.predict(x[part(i)]), nothing
    if operation == "embed":
        return lambda i: named.embed(x[part(i)]), nothing
    if operation == "learn":
        return learn, nothing
    if operation == "solve":
        return lambda _: named.solve(), learn
    learned = learn if "learn" in engine.operations else nothing
    return lambda _: named.save(Path(job["scratch"])), learned


def warm_up(call: Call, before: Call, seconds: float, most: int) -> int:
    """Call untimed for ``seconds``; returns how many calls that were."""
    done, end = 0, time.perf_counter() + seconds
    while done < WARM_UP_CALLS or (time.perf_counter() < end and done < most):
        before(done)
        call(done)
        done += 1
    return done


def time_calls(call: Call, before: Call, done: int, seconds: float, runs: tuple[int, int]) -> list[float]:
    """Microseconds of each call, for ``seconds`` but within ``runs`` (least, most) calls; ``done`` went before."""
    values: list[float] = []
    end = time.perf_counter() + seconds
    while len(values) < runs[0] or (time.perf_counter() < end and len(values) < runs[1]):
        before(done)
        begun = time.perf_counter_ns()
        call(done)
        values.append((time.perf_counter_ns() - begun) / 1e3)
        done += 1
    return values


def peak_rss() -> int:
    """Largest resident set of this process so far, in bytes.

    Linux carries ``ru_maxrss`` over from the parent process, so its own high-water mark is read instead.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    import psutil

    info = psutil.Process().memory_info()
    return int(getattr(info, "peak_wset", info.rss))


if __name__ == "__main__":
    main()
