"""A process of its own, with limits of memory and time, for what a stranger wrote: its end is an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from ssd_edge_runtime.errors import EdgeModelError

LENGTH = 8
LARGEST = 1 << 32
LOOKS_PER_SECOND = 50
LAST_WORDS = 4096


@dataclass(frozen=True)
class Limits:
    """What a process may take."""

    memory: int = 1 << 30
    """Bytes."""
    seconds: float = 60.0
    """For each answer."""

    def __str__(self) -> str:
        return f"{self.memory >> 20} MiB of memory and {self.seconds:g} s"


class Watch:
    """Ends a process that takes more than its limits, for as long as the block lasts."""

    def __init__(self, process: subprocess.Popen[Any], limits: Limits) -> None:
        self._process, self._limits = process, limits
        self._done = threading.Event()
        self.reason: str | None = None
        """Why it was ended, if it was."""

    def __enter__(self) -> Watch:
        self._done.clear()
        self._watcher = threading.Thread(target=self._look, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watcher.join()

    def _look(self) -> None:
        import psutil

        end = time.monotonic() + self._limits.seconds
        with suppress(psutil.Error):
            watched = psutil.Process(self._process.pid)
            while self.reason is None and not self._done.wait(1 / LOOKS_PER_SECOND):
                if watched.memory_info().rss > self._limits.memory:
                    self._end(f"it took more than {self._limits.memory >> 20} MiB of memory")
                elif time.monotonic() > end:
                    self._end(f"it took longer than {self._limits.seconds:g} s")

    def _end(self, reason: str) -> None:
        self.reason = reason
        self._process.kill()


class ConfinedProcess:
    """The Python module ``module`` in a process of its own: messages in, messages out; see :func:`serve`."""

    def __init__(self, module: str, limits: Limits) -> None:
        self.limits = limits
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        command = [sys.executable, "-P", "-m", module]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._words, bufsize=0
        )
        self._watch = Watch(self._process, limits)

    def ask(self, message: bytes) -> bytes:
        """The answer to a message. Raises EdgeModelError, of one line, where the process ends before that."""
        return next(self.stream(message))

    def stream(self, message: bytes) -> Iterator[bytes]:
        """Its answers, as many as are asked for, within one limit of time."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._watch:
            try:
                write_message(self._process.stdin, message)
                while True:
                    answer = read_message(self._process.stdout)
                    if answer is None:
                        break
                    yield answer
            except OSError:
                pass
            raise EdgeModelError(self._end())

    def close(self) -> None:
        """End it."""
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._words):
            if stream is not None:
                stream.close()

    def _end(self) -> str:
        """Why it has ended."""
        status = self._process.wait()
        if self._watch.reason is not None:
            return f"stopped, {self._watch.reason}"
        if status < 0:
            return f"its process was ended by {signal.Signals(-status).name}"
        self._words.seek(max(0, self._words.seek(0, os.SEEK_END) - LAST_WORDS))
        lines = self._words.read().decode(errors="replace").strip().splitlines()
        return f"its process ended with status {status}{': ' + lines[-1][:200] if lines else ''}"


def write_message(stream: IO[bytes], message: bytes) -> None:
    """Send bytes, their length first."""
    view = memoryview(len(message).to_bytes(LENGTH, "little") + message)
    while view:
        view = view[stream.write(view) :]


def read_message(stream: IO[bytes]) -> bytes | None:
    """The bytes that :func:`write_message` sent; None at the end."""
    head = _exactly(stream, LENGTH)
    size = int.from_bytes(head or b"", "little")
    return None if head is None or size > LARGEST else _exactly(stream, size)


def _exactly(stream: IO[bytes], size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = stream.read(min(size - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def serve(answers: Callable[[bytes], Iterator[bytes]]) -> None:
    """In the process: answer each message on standard input, until there are no more.

    What anything prints goes to standard error.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    while (message := read_message(source)) is not None:
        for answer in answers(message):
            write_message(out, answer)
