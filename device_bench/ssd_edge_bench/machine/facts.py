"""Facts about this machine that a timing depends on; what cannot be read is None, never a guess."""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from ssd_edge_bench.machine.versions import versions

CPU = Path("/sys/devices/system/cpu")
THERMAL = Path("/sys/class/thermal")
LIKE = ("processor", "architecture", "system", "cores", "memory_bytes", "governor")
"""Facts in which two machines must agree before their timings are compared."""
MEMORY_SLACK = 0.02


def machine_facts() -> dict[str, Any]:
    """Processor, cores, memory, governor, temperature, timer and versions, ready for JSON."""
    return {
        "processor": processor_name(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "release": platform.release(),
        "board": _read(Path("/proc/device-tree/model")),
        "cores": usable_cores(),
        "cores_in_machine": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_available_bytes": psutil.virtual_memory().available,
        "governor": _read(CPU / "cpu0/cpufreq/scaling_governor"),
        "frequency_max_hz": _scaled(CPU / "cpu0/cpufreq/cpuinfo_max_freq", 1000),
        "temperature_c": temperature(),
        "caches": caches(),
        "virtual": "hypervisor" in (_cpuinfo("flags") or ""),
        "load_average": psutil.getloadavg()[0],
        "timer_resolution_ns": timer_resolution_ns(),
        "versions": versions(),
    }


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What makes two machines unlike, one phrase each; empty where their timings may be compared."""
    found = []
    for fact in LIKE:
        left, right = a.get(fact), b.get(fact)
        if fact == "memory_bytes" and left and right and abs(left - right) <= MEMORY_SLACK * max(left, right):
            continue
        if left != right:
            found.append(f"{fact.replace('_', ' ')} ({left} and {right})")
    return found


def processor_name() -> str:
    """The processor as the system calls it."""
    for key in ("model name", "Model", "Hardware"):
        name = _cpuinfo(key)
        if name:
            return name
    return platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1


def temperature() -> float | None:
    """The hottest thermal zone in degrees Celsius."""
    readings = [_scaled(zone / "temp", 0.001) for zone in sorted(THERMAL.glob("thermal_zone*"))]
    plausible = [value for value in readings if value is not None and -40 < value < 150]
    return max(plausible, default=None)


def caches() -> dict[str, int]:
    """Bytes of each data or unified cache that core 0 sees, by level."""
    found = {}
    for index in sorted((CPU / "cpu0/cache").glob("index*")):
        level, size, kind = (_read(index / name) for name in ("level", "size", "type"))
        if level and size and size.endswith("K") and kind != "Instruction":
            found[f"L{level}"] = int(size[:-1]) * 1024
    return found


def timer_resolution_ns(trials: int = 200) -> float:
    """Median of the smallest steps that the timer shows."""
    steps = []
    for _ in range(trials):
        start = now = time.perf_counter_ns()
        while now == start:
            now = time.perf_counter_ns()
        steps.append(now - start)
    return float(statistics.median(steps))


def _cpuinfo(key: str) -> str | None:
    for line in (_read(Path("/proc/cpuinfo")) or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key and value.strip():
            return value.strip()
    return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _scaled(path: Path, factor: float) -> float | None:
    try:
        return float(_read(path) or "") * factor
    except ValueError:
        return None
