"""What a function tells its caller while it works, beside how far it is: messages and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tell = Callable[[str], None]
"""Hears one line for a person: a note, a warning; ``print`` is one."""
Answer = Callable[[dict[str, Any]], None]
"""Hears the answer to a sample, a batch or a line of a stream, as soon as there is one."""

Stop = Callable[[], bool]
"""Asked between two samples whether to end here, with what was learned put on storage."""


def never() -> bool:
    """Go on to the end."""
    return False


def silent(message: str) -> None:
    """Tell nobody."""
