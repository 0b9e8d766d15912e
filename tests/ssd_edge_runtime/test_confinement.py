"""A process with limits: what it answers, and what its end is told as."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from ssd_edge_runtime.confinement import ConfinedProcess, Limits
from ssd_edge_runtime.errors import EdgeModelError

TASKS = "confined_tasks"


@pytest.fixture
def helpers(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    place = request.config.rootpath / "tests/helpers"
    monkeypatch.setenv("PYTHONPATH", f"{place}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")


@pytest.fixture
def process(helpers: None) -> Iterator[ConfinedProcess]:
    made = ConfinedProcess(TASKS, Limits(memory=200 << 20, seconds=3))
    yield made
    made.close()


def test_it_answers_one_message_after_another_whatever_it_prints(process: ConfinedProcess) -> None:
    assert [process.ask(task) for task in (b"one", b"two", b"three" * 99_999)][:2] == [b"ONE", b"TWO"]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (b"memory", "stopped, it took more than 200 MiB of memory"),
        (b"time", "stopped, it took longer than 3 s"),
        (b"signal", "its process was ended by SIGSEGV"),
        (b"raise", "its process ended with status 1: RuntimeError: a graph that fails"),
        (b"exit", "its process ended with status 7"),
    ],
)
def test_its_end_is_an_answer_of_one_line(process: ConfinedProcess, task: bytes, message: str) -> None:
    assert process.ask(b"ready") == b"READY"
    begun = time.monotonic()
    with pytest.raises(EdgeModelError) as caught:
        process.ask(task)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert time.monotonic() - begun < 20
    with pytest.raises(EdgeModelError):
        process.ask(b"again")


def test_a_module_that_is_not_there_says_so(helpers: None) -> None:
    process = ConfinedProcess("no_such_module_here", Limits())
    with pytest.raises(EdgeModelError, match="No module named no_such_module_here"):
        process.ask(b"x")
    process.close()
