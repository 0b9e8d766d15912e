"""Figures as a person reads them."""

from __future__ import annotations


def duration(microseconds: float) -> str:
    """Three significant digits with a unit."""
    for unit, factor in (("us", 1.0), ("ms", 1e3)):
        if microseconds < 999.5 * factor:
            return f"{microseconds / factor:.3g} {unit}"
    return f"{microseconds / 1e6:.3g} s"


def size(count: float) -> str:
    """Bytes with a unit, powers of 1000 as file managers show them."""
    for unit, factor in (("B", 1.0), ("kB", 1e3), ("MB", 1e6)):
        if count < 999.5 * factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count / 1e9:.3g} GB"


def share(value: float) -> str:
    """A share as percent, two significant digits below ten percent."""
    return f"{value:.0%}" if value >= 0.1 else f"{100 * value:.2g}%"
