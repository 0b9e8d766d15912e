"""What a function tells its caller while it works: messages for a person, how far it is, answers of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tell = Callable[[str], None]
"""Hears one line for a person: a note, a warning; ``print`` is one."""
Progress = Callable[[int, int], None]
"""Hears how many samples are done, and how many there are in all."""
Answer = Callable[[dict[str, Any]], None]
"""Hears the answer to a sample, a batch or a line of a stream, as soon as there is one."""


def silent(message: str) -> None:
    """Tell nobody."""


def unwatched(done: int, total: int) -> None:
    """Nobody watches how far it is."""
