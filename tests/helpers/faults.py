"""Storage that fails: one system call of an action after the other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "close", "replace", "link", "unlink", "mkdir", "rmdir", "ftruncate", "fchmod")
"""What changes something, or may have to."""


class Fault:
    """From this thread's ``index``-th changing call on: fails once (or, ``for_good``, always) with ``code``."""

    def __init__(self, index: int, code: int, for_good: bool = False) -> None:
        self.index, self.code, self.for_good = index, code, for_good
        self.calls = 0
        self.hit = False
        self.thread = threading.get_ident()

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        """The call ``name`` with the fault in it."""

        def call(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self.thread:
                return real(*args, **kwargs)
            self.calls += 1
            due = self.calls > self.index if self.for_good else self.calls == self.index + 1
            if not due:
                return real(*args, **kwargs)
            self.hit = True
            if name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            if name == "close":
                real(*args, **kwargs)
            raise OSError(self.code, os.strerror(self.code))

        return call


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """With the fault in every call."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, fault.wrap(name, getattr(os, name)))
        yield


def attempt(action: Callable[[], Any], fault: Fault) -> bool:
    """Whether ``action`` came through despite the fault; only OSError may say that it did not."""
    try:
        with failing(fault):
            action()
    except OSError as error:
        assert error.errno == fault.code
        return False
    return True
