"""A command that is asked to end: the sample at hand is finished, and the status says which signal it was."""

from __future__ import annotations

import io
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO, Any

import click

from ssd_edge.cli.output import describe, say
from ssd_edge.cli.terminal import UnheardError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C; systemctl, docker and kill; the end of the terminal."""
STOPPED = 128
"""Status of a command that a signal stopped, less the signal's number."""


class Stop:
    """Says whether the command was asked to end: by a signal, or by an output that takes no more answers."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """Number of the first signal."""
        self.unheard = False
        """Whether answers cannot be written any more."""
        self._waking: int | None = None

    def __call__(self) -> bool:
        """Whether to end."""
        return self.signal is not None or self.unheard

    def answering(self, emit: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
        """``emit``, but an output that fails ends the input instead of the learning."""

        def answer(document: dict[str, Any]) -> None:
            if self.unheard:
                return
            try:
                emit(document)
            except UnheardError as error:
                self.unheard = True
                say(f"note: answers cannot be written any more ({error.strerror}): no more is learned")

        return answer

    def exit(self) -> None:
        """End the command with the status of the signal, if there was one."""
        if self.signal is not None:
            raise click.exceptions.Exit(STOPPED + self.signal)

    @contextmanager
    def input(self, stream: IO[bytes]) -> Iterator[IO[bytes]]:
        """``stream``, which ends when it is time to end, also while nothing comes on it."""
        try:
            descriptor = stream.fileno()
        except (OSError, AttributeError):
            yield stream
            return
        woken, self._waking = os.pipe()
        try:
            yield io.BufferedReader(_Waiting(descriptor, woken, self))
        finally:
            waking, self._waking = self._waking, None
            os.close(waking)
            os.close(woken)

    def heard(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the first is remembered, the second ends the process at once."""
        if self.signal is not None:
            os._exit(STOPPED + number)
        self.signal = number
        if self._waking is not None:
            os.write(self._waking, b"!")


class _Waiting(io.RawIOBase):
    """A descriptor read with an eye on another one, on which a signal's handler writes."""

    def __init__(self, descriptor: int, woken: int, stop: Stop) -> None:
        self._descriptor, self._woken, self._stop = descriptor, woken, stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if os.name != "nt":  # which can wait for sockets alone: there a signal counts from the next line on
            select.select([self._descriptor, self._woken], [], [])
        if self._stop():
            return 0
        try:
            data = os.read(self._descriptor, len(buffer))
        except OSError as error:  # as from a terminal that has gone
            say(f"note: input has ended ({describe(error)})")
            return 0
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Yield what says whether to end; a signal that is ignored, as by ``nohup``, goes on being ignored."""
    stop, previous = Stop(), {}
    try:
        for number in SIGNALS:
            # Handlers can be set in the main thread alone.
            with suppress(ValueError):
                if signal.getsignal(number) != signal.SIG_IGN:
                    previous[number] = signal.signal(number, stop.heard)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
