"""Energy counters of the system, where it shows any: RAPL on x86, INA sensors through hwmon on boards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
HWMON = Path("/sys/class/hwmon")
NOT_AVAILABLE = "not available: this system shows neither RAPL nor an energy or power sensor to this user"


@dataclass(frozen=True)
class Counter:
    """A reading at one moment."""

    source: str
    joules: float | None
    """Of a counter that only grows; None where the sensor shows power instead."""
    watts: float | None
    wraps_at_joules: float | None = None


def read(powercap: Path = POWERCAP, hwmon: Path = HWMON) -> Counter | None:
    """The first source that can be read: RAPL's package domain, an energy sensor, a power sensor; else None."""
    for domain in sorted(powercap.glob("intel-rapl:*")):
        joules = _number(domain / "energy_uj", 1e-6)
        if joules is not None and domain.name.count(":") == 1:
            return Counter(f"RAPL {domain.name}", joules, None, _number(domain / "max_energy_range_uj", 1e-6))
    for sensor in sorted(hwmon.glob("hwmon*")):
        name = _text(sensor / "name") or sensor.name
        joules = _number(sensor / "energy1_input", 1e-6)
        watts = _number(sensor / "power1_input", 1e-6)
        if joules is not None or watts is not None:
            return Counter(f"hwmon {name}", joules, None if joules is not None else watts)
    return None


def between(before: Counter, after: Counter, seconds: float) -> float:
    """Joules from one reading to the next; where only power is shown, its mean over the time between."""
    if before.joules is None or after.joules is None:
        return ((before.watts or 0.0) + (after.watts or 0.0)) / 2 * seconds
    spent = after.joules - before.joules
    return spent if spent >= 0 else spent + (before.wraps_at_joules or 0.0)


def since(before: Counter | None, seconds: float) -> float | None:
    """Joules that the whole system has spent since a reading, ``seconds`` ago; None where nothing can be read."""
    after = read()
    return None if before is None or after is None else between(before, after, seconds)


def describe() -> dict[str, str | None]:
    """Where energy figures come from, or why there are none."""
    found = read()
    return {"source": found.source if found else None, "note": None if found else NOT_AVAILABLE}


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None


def _number(path: Path, factor: float) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text) * factor
    except ValueError:
        return None
