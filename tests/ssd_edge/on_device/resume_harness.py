"""``ssd-edge learn`` killed and resumed until it ends; it must end with the bytes of an undisturbed run.

Run by ``test_resume_kill.py``: ``resume_harness.py kill|stop MODEL DATA ROUNDS SEED [OPTION...]``. Each command
runs in a forked child, so that a thousand of them cost little.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ssd_edge.cli import main

CALLS = ("write", "fsync", "ftruncate", "replace", "unlink", "link", "mkdir")
os.environ["SOURCE_DATE_EPOCH"] = "1800000000"  # bytes are compared
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL)
STOPPED = [128 + number for number in SIGNALS] + [-number for number in SIGNALS]
"""Statuses of a command that was stopped, in good order or dead before it could listen."""


def command(arguments: list[str], prepare: Callable[[], None]) -> int:
    """Start one command in a child; returns its process id."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = STOPPED[0]  # should Ctrl-C come before all else
    try:
        prepare()
        error = StringIO()
        with redirect_stdout(StringIO()), redirect_stderr(error):
            try:
                status = main(arguments, standalone_mode=False) or 0
            except SystemExit as end:
                status = int(end.code or 0)
            except Exception:
                status = 99
                raise
        if status == 2 and "nothing to resume: there is no" in error.getvalue():
            status = 3
        elif status:
            sys.stderr.write(error.getvalue())
    finally:
        os._exit(status)


def die_at(number: int) -> Callable[[], None]:
    """Make the ``number``-th storage call the last: a write stops half way, another call does not happen."""
    left = [number]

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                os._exit(77)
            return real(*args, **kwargs)

        setattr(os, name, call)

    return lambda: [wrap(name) for name in CALLS] and None


def kill_after(child: int, seconds: float, number: signal.Signals) -> None:
    time.sleep(seconds)
    os.kill(child, number)


def until_done(arguments: list[str], model: Path, parent: bytes, cut: Callable[[list[str]], int]) -> int:
    """Run with ``cut`` once, then resume until it ends; returns how many resumes went on from something."""
    status = cut(arguments)
    resumes = 0
    while status != 0:
        status = cut([*arguments, "--resume"])
        resumes += status == 0
        if status == 3:
            # No journal: it had not begun, or had ended.
            status = 0 if model.read_bytes() != parent else cut(arguments)
        assert status in (0, 77, *STOPPED), status
    return resumes


def wait(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def rounds(mode: str, arguments: list[str], length: float, count: int, seed: int) -> Iterator[Callable[..., int]]:
    """For each round, a function that runs a command and cuts it off at that round's instant."""
    rng = random.Random(seed)
    for number in range(count) if mode == "kill" else range(1, 10**6):
        fired = []

        def cut(args: list[str], number: int = number, fired: list[bool] = fired) -> int:
            if mode == "stop":
                # Cut off the first command and, at another place, the first resume.
                place = [number, number // 2 + 1][len(fired)] if len(fired) < 2 else 0
                fired.append(True)
                return wait(command(args, die_at(place)))
            child = command(args, lambda: None)
            if len(fired) < 2:
                fired.append(True)
                kill_after(child, rng.random() * length * 1.1, rng.choice(SIGNALS))
            return wait(child)

        yield cut
        if mode == "stop" and len(fired) == 1:
            return


def run(mode: str, model: Path, data: str, count: int, seed: int, options: list[str]) -> dict[str, int]:
    parent, folder = model.read_bytes(), model.parent / "work"
    work = folder / "model.onnx"
    arguments = ["learn", str(work), data, *options]

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work.write_bytes(parent)

    fresh()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        main(arguments, standalone_mode=False)  # what a command imports is loaded before the first fork
    fresh()
    begun = time.perf_counter()
    assert wait(command(arguments, lambda: None)) == 0
    length, expected = time.perf_counter() - begun, work.read_bytes()
    assert expected != parent
    done = resumes = 0
    for cut in rounds(mode, arguments, length, count, seed):
        fresh()
        resumes += until_done(arguments, work, parent, cut)
        assert work.read_bytes() == expected, f"round {done} ended otherwise"
        assert not (folder / "model.onnx.learning").exists()
        done += 1
    return {"rounds": done, "resumes": resumes}


if __name__ == "__main__":
    mode, model, data, count, seed, *options = sys.argv[1:]
    print(json.dumps(run(mode, Path(model), data, int(count), int(seed), options)))
