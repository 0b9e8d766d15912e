"""Taking a lock that may not be to be had, safe from interrupts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

Result = TypeVar("Result")


class Lock(Protocol):
    """A lock of the threading module."""

    def acquire(self, blocking: bool = ..., /) -> bool:
        """Whether it is held now."""

    def release(self) -> None:
        """Hold it no more."""


def attempt(lock: Lock, blocking: bool, act: Callable[[], Result]) -> Result | None:
    """What ``act`` gives while ``lock`` is held; None where it is not to be had, and ``blocking`` is false."""
    held: list[bool] = []
    try:
        # A single call: an interrupt finds the lock held and noted, or neither.
        held.extend(map(lock.acquire, (blocking,)))
        return act() if held[0] else None
    finally:
        if held and held[0]:
            lock.release()
