"""Processes that die while saving; started by test_kill.py, prints one JSON document.

storage_harness.py kill MODEL ROUNDS SEED    SIGKILL at a random instant of learning and saving
storage_harness.py stop MODEL                death before, in the middle of and after each system call of one save
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge_runtime import EdgeModel, model_file, storage

CALLS = ("open", "write", "fsync", "close", "replace", "link", "unlink", "mkdir", "rmdir")
"""What save asks of the operating system to change things."""


def next_file(path: Path) -> tuple[bytes, str, int]:
    """The file one learning step further, the digest it grew from, and its number."""
    data = path.read_bytes()
    state = model_file.from_bytes(data)
    number = state.generation + 1
    further = replace(state, generation=number, samples_seen=number, parent=model_file.digest_of(data))
    return model_file.to_bytes(further), str(further.parent), number


def learn_for_ever(path: Path, acknowledge: Callable[[int], Any], batches: int | None = None) -> None:
    """Learn a batch, save, report, again."""
    model, rng = EdgeModel.load(path, engine="csr"), np.random.default_rng(0)
    while batches is None or batches > 0:
        x = rng.random((4, *model.state.input_shape), np.float32)
        acknowledge(model.partial_fit(x, model.classes_[:1] * 4).save(path))
        batches = batches and batches - 1


def check(path: Path, acknowledged: int) -> int:
    """The file's number: sound, acknowledged or one later; and every generation must be sound."""
    number = model_file.load(path).generation
    assert acknowledged <= number <= acknowledged + 1, (acknowledged, number)
    problems = [generation.problem for generation in storage.history(path) if generation.problem]
    assert not problems, problems
    EdgeModel.load(path, engine="csr").predict(np.ones((1, *model_file.load(path).input_shape), np.float32))
    return number


def fork(body: Callable[[], Any]) -> int:
    """Run ``body`` in a child and return its process id."""
    child = os.fork()
    if child == 0:
        try:
            body()
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


def kill(path: Path, rounds: int, seed: int) -> dict[str, int]:
    """Kill a saving process ``rounds`` times; returns what was seen."""
    chance, usual = random.Random(seed), math.inf
    for _ in range(5):
        started = time.perf_counter()
        learn_for_ever(path, lambda number: None, batches=1)
        usual = min(usual, time.perf_counter() - started)
    known, in_flight = model_file.load(path).generation, 0
    for _ in range(rounds):
        reading, writing = os.pipe()
        child = fork(
            lambda end=writing: learn_for_ever(path, lambda number: os.write(end, struct.pack("q", number)))
        )
        os.close(writing)
        time.sleep(chance.uniform(0.0, 4 * usual))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), "the child ended by itself"
        numbers = os.read(reading, 1 << 20)
        os.close(reading)
        acknowledged = struct.unpack("q", numbers[-8:])[0] if numbers else known
        known = check(path, acknowledged)
        in_flight += known > acknowledged
    return {"rounds": rounds, "saves": known, "unacknowledged": in_flight}


def die_at(index: int, moment: str) -> None:
    """From here on, the ``index``-th call that changes something ends this process before, amid or after it."""
    count = 0

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count <= index:
                return real(*args, **kwargs)
            if moment == "after":
                real(*args, **kwargs)
            elif moment == "amid" and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
            return None

        return call

    for name in CALLS:
        setattr(os, name, wrap(name, getattr(os, name)))


def save_once(path: Path, index: int, moment: str) -> None:
    """One save that dies at a given call."""
    data, parent, _ = next_file(path)
    die_at(index, moment)
    storage.save(path, data, expected_digest=parent, lock_timeout=1)


def stop(path: Path) -> dict[str, int]:
    """Die at every call of a save in turn, until one gets through; the next save must work each time."""
    deaths = 0
    for moment in ("before", "amid", "after"):
        index, ended = 0, False
        while not ended:
            known = model_file.load(path).generation
            child = fork(lambda at=index, when=moment: save_once(path, at, when))
            _, status = os.waitpid(child, 0)
            ended = os.WIFEXITED(status)
            assert not ended or os.WEXITSTATUS(status) == 0
            check(path, known)
            data, parent, _ = next_file(path)
            storage.save(path, data, expected_digest=parent, lock_timeout=1)
            left = {entry.name for entry in path.parent.iterdir()}
            assert left <= {path.name, f"{path.name}.lock", f"{path.name}.generations"}, left
            index, deaths = index + 1, deaths + (not ended)
    return {"deaths": deaths}


if __name__ == "__main__":
    mode, model = sys.argv[1], Path(sys.argv[2])
    # Import all that saving imports while nothing is at stake.
    storage.save(model, model.read_bytes())
    result = kill(model, int(sys.argv[3]), int(sys.argv[4])) if mode == "kill" else stop(model)
    print(json.dumps(result))
