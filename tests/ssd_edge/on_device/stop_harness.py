"""``ssd-edge learn MODEL -`` stopped at random instants: each acknowledged lesson is there then, none twice.

Run by ``test_stream_kill.py``: ``stop_harness.py MODEL ROUNDS SEED``. Each lesson is a class of its own, so that
the classes of the file tell which were learned and how often. Each command runs in a forked child.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ssd_edge.cli import main
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.storage.journal import journal_path

LESSONS = 25
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL)
PACES: tuple[list[str], ...] = ([], ["--checkpoint-every", "1"], ["--checkpoint-every", "4"])


@dataclass
class Told:
    """What the child has said before it ended."""

    learned: list[str] = field(default_factory=list)
    stored: int = 0
    status: int = 0


def start(arguments: list[str]) -> tuple[int, int, int]:
    """Run a command in a child; returns its process id, its input and its output."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child:
        os.close(theirs_in)
        os.close(theirs_out)
        return child, ours_out, ours_in
    status = 128 + signal.SIGINT  # should that come before all else
    try:
        os.close(ours_out)
        os.close(ours_in)
        os.dup2(theirs_in, 0)
        os.dup2(theirs_out, 1)
        sys.stdin, sys.stdout = io.TextIOWrapper(io.FileIO(0)), io.TextIOWrapper(io.FileIO(1, "w"))
        sys.stderr = io.StringIO()
        try:
            status = main(arguments, standalone_mode=False) or 0
        except SystemExit as end:
            status = int(end.code or 0)
        except Exception:
            status = 99
            raise
        if status == 2:
            os.write(2, sys.stderr.getvalue().encode())
    finally:
        os._exit(status)


def warm_up(arguments: list[str], line: str) -> None:
    """Load what a command imports before the first fork."""
    real = sys.stdin
    with tempfile.TemporaryFile("w+") as lesson, redirect_stdout(io.StringIO()):
        lesson.write(line)
        lesson.seek(0)
        sys.stdin = lesson
        try:
            main(arguments, standalone_mode=False)
        finally:
            sys.stdin = real


def converse(arguments: list[str], lines: list[str], harm: threading.Thread | None = None) -> Told:
    """Give a child one lesson after another, each once the last was answered, until it ends."""
    child, ours_out, ours_in = start(arguments)
    told = Told()
    if harm is not None:
        harm.child = child  # type: ignore[attr-defined]
        harm.start()
    with os.fdopen(ours_in) as answers, suppress(BrokenPipeError), os.fdopen(ours_out, "w") as lessons:
        for line in lines:
            lessons.write(line)
            lessons.flush()
            if not hear(told, answers.readline()):
                break
        lessons.close()
        while hear(told, answers.readline()):
            pass
    if harm is not None:
        harm.join()
    told.status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return told


def hear(told: Told, answer: str) -> bool:
    """Note an answer; false at the end of all answers."""
    if not answer.endswith("\n"):
        return False
    row = json.loads(answer)
    told.stored = row["stored"]
    if "learned" in row:
        told.learned.append(row["learned"])
    return True


class Harm(threading.Thread):
    """Sends one or two signals after a while."""

    child: int

    def __init__(self, rng: random.Random, longest: float) -> None:
        super().__init__()
        self.number = rng.choice(SIGNALS)
        self.twice = rng.random() < 0.25
        self.after, self.between = rng.random() * longest, rng.random() * 0.003

    def run(self) -> None:
        time.sleep(self.after)
        os.kill(self.child, self.number)  # not reaped yet, so never another process
        if self.twice:
            time.sleep(self.between)
            os.kill(self.child, self.number)


def check(model: Path, sent: list[str], told: Told, harm: Harm, known: int) -> int:
    """Whether the file holds what it must, once each; returns how many lessons were acknowledged."""
    assert told.status in (0, 128 + harm.number, -harm.number), told.status
    edge = EdgeModel.load(model)
    # A gradient readout has no journal of lessons: a kill takes what came after the last save.
    killed = edge.learning is not None and (harm.number == signal.SIGKILL or harm.twice)
    owed = told.learned[: told.stored] if killed else told.learned
    counts = Counter(dict(zip(edge.classes_, edge.state.class_samples.tolist(), strict=True)))
    held = {name: counts[name] for name in edge.classes_[known:]}
    assert all(held.get(name) == 1 for name in owed), (harm.number, harm.twice, told, held)
    assert set(held) <= set(sent), "a lesson that nobody gave"
    assert all(count == 1 for count in held.values()), "a lesson was learned twice"
    assert len(held) <= len(told.learned) + 1, "only the lesson at hand may be there without a word"
    return len(owed)


def run(model: Path, rounds: int, seed: int) -> dict[str, int]:
    parent, folder = model.read_bytes(), model.parent / "work"
    work = folder / "model.onnx"
    edge = EdgeModel.load(model)
    known, rng = len(edge.classes_), random.Random(seed)
    x = np.random.default_rng(seed).random((LESSONS, *edge.state.input_shape), np.float32)
    sent = [f"lesson {number}" for number in range(LESSONS)]
    lines = [json.dumps({"x": row.tolist(), "y": name}) + "\n" for row, name in zip(x, sent, strict=True)]

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        work.write_bytes(parent)

    fresh()
    warm_up(["learn", str(work), "-"], lines[0])
    fresh()
    begun = time.perf_counter()
    whole = converse(["learn", str(work), "-"], lines)
    length = time.perf_counter() - begun
    assert (whole.status, whole.learned, whole.stored) == (0, sent, LESSONS)
    acknowledged = stopped = 0
    for _ in range(rounds):
        fresh()
        harm = Harm(rng, length * 1.1)
        told = converse(["learn", str(work), "-", *rng.choice(PACES)], lines, harm)
        resumed = converse(["learn", str(work), "-", "--resume"], [])
        assert resumed.status == 0, resumed.status
        assert not journal_path(work).exists()
        acknowledged += check(work, sent, told, harm, known)
        stopped += told.status > 128
    return {"rounds": rounds, "acknowledged": acknowledged, "stopped": stopped}


if __name__ == "__main__":
    place, how_many, of = sys.argv[1:]
    print(json.dumps(run(Path(place), int(how_many), int(of))))
