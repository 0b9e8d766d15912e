"""What every command shares: ``--json``, ``--debug``, one-line errors, progress on standard error."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import click

from ssd_edge_runtime.errors import DataWarning, MissingExtraError, SSDEdgeError

if TYPE_CHECKING:
    import rich.progress

    from ssd_edge.data.progress import Progress

NUMBERS = re.compile(r"\[[-+.,\d\seE]+\]")
"""A list of nothing but numbers, which stays on one line; within quotes a match is text without newlines."""
UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""What moves the cursor, colours, renames the window or turns text around; not line breaks and tabs."""


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` (passed on as ``as_json``) and ``--debug``, and turn errors into one line and status 2."""

    @click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on standard output.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def wrapper(*args: Any, debug: bool, **kwargs: Any) -> Any:
        try:
            with notes():
                return function(*args, **kwargs)
        except BrokenPipeError:
            raise  # the reader has gone; click ends in silence
        except KeyboardInterrupt:
            say("stopped")
            sys.exit(128 + signal.SIGINT)
        except (SSDEdgeError, OSError, MemoryError) as error:
            if debug:
                raise
            fail(describe(error))

    return wrapper


@contextmanager
def notes() -> Iterator[None]:
    """Say what is remarked of data, once each, as ``note: ...``."""
    said: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", DataWarning)
        show = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if not issubclass(category, DataWarning):
                show(message, category, *where, **more)
            elif str(message) not in said:
                said.add(str(message))
                say(f"note: {message}")

        warnings.showwarning = note
        yield


def require_torch(feature: str) -> None:
    """Raise MissingExtraError where torch or safetensors, which a model builder needs, is not installed."""
    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(feature)


def describe(error: BaseException) -> str:
    """One line that names what was wrong."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "not enough memory on this machine"
    return " ".join(str(error).split())


def fail(message: str) -> None:
    """Print ``error: message`` on standard error and exit with status 2."""
    say(f"error: {message}")
    sys.exit(2)


def say(message: str) -> None:
    """A message for a person, on standard error; where nobody can read it, the work goes on all the same."""
    try:
        _write(sys.stderr, f"{message}\n")
    except OSError:
        silence(sys.stderr)


def plain(text: str) -> None:
    """A line of the result for a person, on standard output."""
    _write(sys.stdout, f"{text}\n")


def emit_json(document: Any) -> None:
    """The one JSON document on standard output."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=not _takes(sys.stdout, document))
    text = NUMBERS.sub(lambda found: f"[{' '.join(found.group()[1:-1].split())}]", text)
    _write(sys.stdout, f"{text}\n")


def emit_line(document: dict[str, Any]) -> None:
    """One line of JSON on standard output, at once."""
    _write(sys.stdout, json.dumps(document, ensure_ascii=not _takes(sys.stdout, document)) + "\n")


def emit_saved(report: dict[str, Any], as_json: bool, print_report: Callable[[dict[str, Any]], None]) -> None:
    """Tell what is on storage; printing that fails is no failure, or who tries again would do it twice."""
    try:
        if as_json:
            emit_json(report)
        else:
            print_report(report)
    except OSError as error:
        silence(sys.stdout)
        say(f"note: done, but the report could not be printed ({describe(error)})")


def printable(text: str) -> str:
    """``text`` with what would steer the terminal written out, as ``\\u001b``; JSON stays the same document."""
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _takes(stream: IO[str] | None, document: Any) -> bool:
    """Whether the stream's encoding has all letters of a JSON document."""
    try:
        printable(json.dumps(document, ensure_ascii=False)).encode(_encoding(stream))
    except UnicodeEncodeError:
        return False
    return True


def _encoding(stream: IO[str] | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _write(stream: IO[str] | None, text: str) -> None:
    """Write out at once, letters that the encoding lacks as escapes. Raises OSError."""
    if stream is None:  # closed before Python began
        return
    encoding = _encoding(stream)
    stream.write(printable(text).encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def silence(stream: IO[str] | None) -> None:
    """Let what is still to be written, and what Python flushes as it ends, go nowhere."""
    if stream is None:
        return
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def on_terminal() -> bool:
    """Whether a person watches standard error."""
    return sys.stderr.isatty()


@contextmanager
def bar(description: str) -> Iterator[Progress]:
    """Yield ``progress(done, of how many)``, which draws a bar on standard error, only on a terminal.

    The bar opens when work is first told of and goes when it is done; work that begins again is another pass.
    """
    if not on_terminal():
        yield lambda done, total: None
        return
    with ExitStack() as stack:
        drawn: tuple[rich.progress.Progress, rich.progress.TaskID] | None = None
        number, before = 1, 0

        def progress(done: int, total: int) -> None:
            nonlocal drawn, number, before
            if done < before:
                number += 1
                stack.close()
                drawn = None
            if drawn is None:
                shown = stack.enter_context(open_bar())
                name = description if number == 1 else f"{description}, pass {number}"
                drawn = shown, shown.add_task(name, total=total)
            drawn[0].update(drawn[1], completed=done, total=total)
            before = done
            if done >= total:
                stack.close()

        yield progress


def open_bar() -> rich.progress.Progress:
    """A bar on standard error with count, rate and time left, gone when it ends."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(written_rate(task.finished_speed or task.speed))

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def written_rate(speed: float | None) -> str:
    """Steps a second, three digits where there are few."""
    if not speed:
        return ""
    return f"{speed:.3g}/s" if speed < 100 else f"{speed:,.0f}/s"
