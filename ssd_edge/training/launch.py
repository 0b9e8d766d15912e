"""Which of the processes that ``torchrun`` started this one is."""

from __future__ import annotations

import os


def launched_rank() -> int:
    """This process's rank as ``torchrun`` tells it; 0 for a process alone."""
    return int(os.environ.get("RANK", "0"))
