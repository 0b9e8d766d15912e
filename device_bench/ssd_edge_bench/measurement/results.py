"""From raw timings to the rows of a report; every figure can be derived again from ``values_us``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssd_edge_bench.measurement.intervals import interval, percentiles, spread, unstable

SCHEMA = 1
ENOUGH_FOR_P999 = 1000
TIMER_STEPS = 100


def result_rows(answers: dict[str, list[dict[str, Any]]], operations: Sequence[str]) -> list[dict[str, Any]]:
    """One row per engine, operation and batch, from the answers of each engine's processes."""
    rows = []
    for engine, processes in answers.items():
        if "start" in operations:
            rows.append(result_row(engine, "start", 1, [[answer["start_us"]] for answer in processes]))
        for first, *others in zip(*(answer["operations"] for answer in processes), strict=True):
            values = [first["values_us"], *(other["values_us"] for other in others)]
            row = result_row(engine, first["operation"], first["batch"], values)
            row["joules_per_sample"] = _per_sample([first, *others], row["batch"] * row["runs"])
            rows.append(row)
    return rows


def result_row(engine: str, operation: str, batch: int, values: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Percentiles over all calls, the interval of the median, throughput, and the raw values per process."""
    pooled = np.concatenate([np.asarray(process, np.float64) for process in values])
    found, median = percentiles(pooled), interval(values)
    return {
        "engine": engine,
        "operation": operation,
        "batch": batch,
        "p50_us": found["p50"],
        "p50_low_us": min(median.low, found["p50"]),
        "p50_high_us": max(median.high, found["p50"]),
        "p90_us": found["p90"],
        "p99_us": found["p99"],
        "p99_9_us": found["p99.9"] if len(pooled) >= ENOUGH_FOR_P999 else None,
        "samples_per_second": batch * len(pooled) / (pooled.sum() / 1e6),
        "runs": len(pooled),
        "unstable": unstable(values),
        "values_us": [[round(value, 3) for value in process] for process in values],
    }


def _per_sample(answers: list[dict[str, Any]], samples: int) -> float | None:
    """Energy of the whole system over the timed loops, per sample; None where it cannot be read."""
    joules = [answer["joules"] for answer in answers]
    return None if None in joules else float(sum(joules)) / samples


def stability(results: list[dict[str, Any]], machine: dict[str, Any], cores: int) -> dict[str, Any]:
    """Whether the run can be trusted, and what to do where it cannot."""
    shaky = [name_of(row) for row in results if row["unstable"]]
    coarse = [
        name_of(row) for row in results if row["p50_us"] * 1e3 < TIMER_STEPS * machine["timer_resolution_ns"]
    ]
    advice = []
    if shaky:
        advice.append(f"processes disagree by more than a tenth on {', '.join(shaky)}: raise --processes")
    if machine["load_average"] is not None and machine["load_average"] > cores:
        advice.append(f"the load average is {machine['load_average']:.1f} on {cores} cores: stop other programs")
    if machine["governor"] not in (None, "performance"):
        advice.append(f"the governor is {machine['governor']}: set it to performance")
    if coarse:
        advice.append(f"the timer's step is more than 1 % of {', '.join(coarse)}: use a larger batch")
    worst = max((spread(row["values_us"]) for row in results), default=0.0)
    return {"stable": not shaky and not coarse, "largest_spread": worst, "advice": advice}


def name_of(row: dict[str, Any]) -> str:
    """``csr predict b1``: how a row is called in messages and in ``--fail-if``."""
    return f"{row['engine']} {row['operation']} b{row['batch']}"


def find_row(
    document: dict[str, Any], operation: str, batch: int, engine: str | None = None
) -> dict[str, Any] | None:
    """The row of a document with this operation and batch (default: of its first engine), or None."""
    for row in document["results"]:
        if row["operation"] == operation and row["batch"] == batch and engine in (None, row["engine"]):
            found: dict[str, Any] = row
            return found
    return None
