"""Classes as a command line spells them."""

from __future__ import annotations


def as_names(text: str) -> tuple[str, ...]:
    """``"Trouser, 3"`` as ``("Trouser", "3")``; empty text as none."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def as_order(text: str) -> int | tuple[str, ...] | None:
    """``label`` as None, a whole number as a seed, anything else as names."""
    if text == "label":
        return None
    return int(text) if text.isdecimal() else as_names(text)
