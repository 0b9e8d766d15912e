"""How the contents of a file become samples, where a file leaves the choice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """Options of reading; each concerns the kinds of files that it names."""

    label_column: str | None = None
    """Tables: the column of the labels, by name or number from 1; None: found out."""
