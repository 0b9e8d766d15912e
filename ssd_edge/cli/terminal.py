"""The one way to a terminal: nothing steers it, and nothing fails for want of a letter."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from contextlib import suppress
from typing import IO

STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]"
)
"""What moves the cursor, colours, renames the window, breaks a line, or turns text around."""
NOT_IN_JSON = re.compile(STEERING.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))
"""The same but for the line breaks that lay out a document; those within its strings are written out already."""

INTERRUPTED = 128 + signal.SIGINT
"""Status of a command that Ctrl-C ended: what a shell says of it."""


class UnheardError(OSError):
    """Standard output takes nothing more: its reader has gone, or its disk is full."""


def printable(text: str) -> str:
    """One line of ``text``, what would steer the terminal written out as in JSON.

    >>> printable("red \\x1b[31m")
    'red \\\\u001b[31m'
    """
    return STEERING.sub(_written_out, text)


def printable_json(text: str) -> str:
    """A JSON document as text that steers no terminal; it stays the same document."""
    return NOT_IN_JSON.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def encodable(text: str) -> bool:
    """Whether standard output has all letters of ``text``."""
    try:
        text.encode(_encoding(sys.stdout))
    except UnicodeEncodeError:
        return False
    return True


def put(text: str) -> None:
    """Write ``text``, which is printable, to standard output at once. Raises UnheardError."""
    try:
        _write(sys.stdout, text)
    except OSError as error:
        silence()
        raise UnheardError(error.errno, error.strerror, "standard output") from error


def put_aside(text: str) -> None:
    """The same to standard error, where nothing that matters stands: what cannot be written is lost."""
    with suppress(OSError):
        _write(sys.stderr, text)


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is None:  # closed before Python began
        return
    encoding = _encoding(stream)
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _encoding(stream: IO[str] | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def silence() -> None:
    """Let what standard output still holds, and Python flushes as it ends, go nowhere."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
