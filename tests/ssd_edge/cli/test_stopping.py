"""Signals, readers that go away and terminals that end stop ``learn`` with all it acknowledged on storage."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ask, call, refused
from small_models import analytic_state, gradient_state, samples

from ssd_edge.cli.stopping import Stop, stoppable
from ssd_edge_runtime import EdgeModel, model_file
from ssd_edge_runtime.storage.journal import journal_path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


@pytest.fixture(params=["analytic", "gradient"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    state = analytic_state() if request.param == "analytic" else gradient_state()
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(state))
    return path


@pytest.fixture
def seen(model: Path) -> int:
    """Samples that it has learned from before."""
    return EdgeModel.load(model).samples_seen_


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "ssd_edge", *map(str, arguments)]


def line(name: str) -> str:
    """A sample of class ``name``."""
    return json.dumps({"x": samples(3, 1)[0][0].tolist(), "y": name}) + "\n"


class Stream:
    """``learn MODEL -`` as a caller sees it who waits for each answer."""

    def __init__(self, model: Path, *options: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command("learn", model, "-", *options), stdin=pipe, stdout=pipe, stderr=pipe, text=True
        )

    def teach(self, name: str) -> Any:
        """Its answer to a sample."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(line(name))
        stdin.flush()
        return json.loads(stdout.readline())

    def end(self) -> tuple[list[Any], str]:
        """Its last answers and what it said."""
        out, said = self.process.communicate(timeout=60)
        return [json.loads(line) for line in out.splitlines()], said


@contextmanager
def streaming(model: Path, *options: str) -> Iterator[Stream]:
    stream = Stream(model, *options)
    try:
        yield stream
    finally:
        stream.process.kill()
        for pipe in (stream.process.stdin, stream.process.stdout, stream.process.stderr):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()
        stream.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_stream_as_its_end_does(model: Path, seen: int, number: signal.Signals) -> None:
    with streaming(model) as stream:
        assert [stream.teach(name)["samples"] for name in ("9", "9", "0")] == [1, 2, 3]
        stream.process.send_signal(number)
        rows, said = stream.end()
    assert stream.process.returncode == 128 + number
    assert rows[-1]["stopped"] is True
    assert rows[-1]["stored"] == 3
    assert said == f"stopped: 3 samples learned, 3 on storage in {model}\n"
    edge = EdgeModel.load(model)
    assert (edge.samples_seen_, edge.classes_[-1]) == (seen + 3, "9")
    assert not journal_path(model).exists()


def test_half_a_line_is_not_learned(model: Path) -> None:
    with streaming(model) as stream:
        stream.teach("0")
        assert stream.process.stdin is not None
        stream.process.stdin.write('{"y": "1", "x": [0.')
        stream.process.stdin.flush()
        stream.process.send_signal(signal.SIGTERM)
        rows, _ = stream.end()
    assert [row["samples"] for row in rows] == [1]


def test_a_reader_that_goes_away_ends_the_input(model: Path, seen: int) -> None:
    with streaming(model) as stream:
        stream.teach("0")
        assert stream.process.stdout is not None
        stream.process.stdout.close()
        assert stream.process.stdin is not None
        stream.process.stdin.write(3 * line("0"))
        stream.process.stdin.close()
        assert stream.process.wait(timeout=60) == 0
        assert stream.process.stderr is not None
        assert "answers cannot be written any more (Broken pipe)" in stream.process.stderr.read()
    # The second lesson was learned before its answer found nobody.
    assert EdgeModel.load(model).samples_seen_ == seen + 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_answers_that_find_no_room_end_the_input(model: Path, seen: int) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("learn", model, "-"),
            input=3 * line("0"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0
    assert EdgeModel.load(model).samples_seen_ == seen + 1


def test_the_end_of_a_terminal_ends_the_input(model: Path, seen: int) -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        command("learn", model, "-"), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    os.close(theirs)
    os.write(ours, line("9").encode())
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["learned"] == "9"
    os.close(ours)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert EdgeModel.load(model).samples_seen_ == seen + 1


def test_nohup_is_respected(model: Path, seen: int) -> None:
    process = subprocess.Popen(
        ["nohup", *command("learn", model, "-")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for _ in range(2):
        process.stdin.write(line("0"))
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert EdgeModel.load(model).samples_seen_ == seen + 2


def lessons(path: Path, count: int) -> Path:
    x, y = samples(1, count, classes=4)
    np.savez(path, x=x, y=y, classes=np.array(list("0123")))
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_data_is_learned_leaves_a_journal(
    model: Path, tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command in this process, so that the signal comes between two calls to the model."""
    # Several calls to the model: passes, or what lies between checkpoints.
    options = ("--epochs", 2) if EdgeModel.load(model).analytic is None else ("--checkpoint-every", 30)
    first = 100 if options[0] == "--epochs" else 30
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    twin = tmp_path / "twin" / model.name
    twin.parent.mkdir()
    twin.write_bytes(model.read_bytes())
    data = lessons(tmp_path / "data.npz", 100)
    ask("learn", twin, data, *options)

    fit, calls = EdgeModel.partial_fit, []

    def signalled(self: EdgeModel, *arguments: Any) -> EdgeModel:
        calls.append(1)
        if len(calls) == 1:
            signal.raise_signal(number)
        return fit(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EdgeModel, "partial_fit", signalled)
        before = model.read_bytes()
        stopped = call("learn", model, data, *options)
    assert stopped.exit_code == 128 + number
    assert stopped.stderr.startswith(f"stopped: {journal_path(model)} holds {first} samples")
    assert stopped.stdout == ""
    assert model.read_bytes() == before
    assert f"holds {first} samples of learning that was cut off" in refused("learn", model, data, *options)
    assert ask("learn", model, data, *options, "--resume")["resumed"] == first
    assert model.read_bytes() == twin.read_bytes()


def test_a_second_signal_ends_at_once() -> None:
    """In a child: the process ends inside the handler."""
    program = (
        "import os, signal, time\n"
        "from ssd_edge.cli.stopping import stoppable\n"
        "with stoppable() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert stop()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(60)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGINT


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stoppable() as stop:
        assert isinstance(stop, Stop)
        assert not stop()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.parametrize("arguments", [["infer"], ["eval", "x.npz"]])
def test_ctrl_c_in_other_commands_has_its_own_status(
    arguments: list[str], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ssd_edge.on_device.infer", pressed)
    monkeypatch.setattr("ssd_edge.on_device.evaluate", pressed)
    data = lessons(model.with_name("x.npz"), 4)
    done = call(arguments[0], model, data)
    assert (done.exit_code, done.stderr) == (130, "stopped\n")
