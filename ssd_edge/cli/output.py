"""What every command shares: ``--json``, ``--debug``, one-line errors, progress on standard error."""

from __future__ import annotations

import errno
import functools
import importlib.util
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ssd_edge.cli.terminal import UnheardError, encodable, printable, printable_json, put, put_aside
from ssd_edge_runtime.errors import DataWarning, MissingExtraError, SSDEdgeError

if TYPE_CHECKING:
    import rich.console
    import rich.progress

    from ssd_edge.data.progress import Progress

NUMBERS = re.compile(r"\[[-+.,\d\seE]+\]")
"""A list of nothing but numbers, which stays on one line; within quotes a match is text without newlines."""
READERS = frozenset({"bench", "eval", "history", "infer", "inspect", "monitor", "verify"})
"""Commands that give nothing but what they print; any other has done its work by then."""
UNHEARD = 128 + 13
"""Status of a command whose reader has gone: what a shell says of a program that SIGPIPE ended."""


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` (passed on as ``as_json``) and ``--debug``, and turn errors into one line and status 2."""

    @click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on standard output.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def wrapper(*args: Any, debug: bool, **kwargs: Any) -> Any:
        try:
            with notes(), delivering(reads_only()):
                return function(*args, **kwargs)
        except (SSDEdgeError, OSError, MemoryError) as error:
            if debug:
                raise
            fail(describe(error))

    return wrapper


def reads_only() -> bool:
    """Whether this command only tells."""
    context = click.get_current_context(silent=True)
    return context is not None and context.info_name in READERS


@contextmanager
def delivering(needed: bool = False) -> Iterator[None]:
    """Print what was done; that it cannot be printed is no failure, or who tries again would do it twice.

    Where the print is all there is, ``needed``, a full disk is one, and a reader that has gone ends the command.
    """
    try:
        yield
    except UnheardError as error:
        if needed and error.errno == errno.EPIPE:
            sys.exit(UNHEARD)
        if needed:
            raise
        say(f"note: done, but the report could not be printed ({error.strerror})")


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
            elif (told := getattr(message, "kind", str(message))) not in said:
                said.add(told)
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


def fail(message: str) -> NoReturn:
    """Print ``error: message`` on standard error and exit with status 2."""
    say(f"error: {message}")
    sys.exit(2)


def say(message: str) -> None:
    """A message for a person, on standard error; where nobody can read it, the work goes on all the same."""
    put_aside(f"{printable(message)}\n")


def plain(text: str) -> None:
    """A line of the result for a person, on standard output."""
    put(f"{printable(text)}\n")


def emit_json(document: Any) -> None:
    """The one JSON document on standard output."""
    text = _dumped(document, indent=2, allow_nan=False)
    put(NUMBERS.sub(lambda found: f"[{' '.join(found.group()[1:-1].split())}]", text) + "\n")


def emit_line(document: dict[str, Any]) -> None:
    """One line of JSON on standard output, at once."""
    put(_dumped(document) + "\n")


def _dumped(document: Any, **how: Any) -> str:
    """JSON in the letters that standard output has; where it lacks one, all that are not ASCII are written out."""
    text = printable_json(json.dumps(document, ensure_ascii=False, **how))
    return text if encodable(text) else json.dumps(document, **how)


def draw(what: Callable[[rich.console.Console], None]) -> None:
    """What rich draws, on standard output."""
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as drawn:
        what(console)
    put(drawn.get())


def emit_saved(report: dict[str, Any], as_json: bool, print_report: Callable[[dict[str, Any]], None]) -> None:
    """Tell what is on storage, and go on where it cannot be told."""
    with delivering():
        emit_json(report) if as_json else print_report(report)


def printable_in(document: Any) -> Any:
    """``document`` with every string in it printable, for what lays out and colours text itself."""
    if isinstance(document, dict):
        return {key: printable_in(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [printable_in(value) for value in document]
    return printable(document) if isinstance(document, str) else document


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
