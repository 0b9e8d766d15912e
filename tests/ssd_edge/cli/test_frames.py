"""Arrays on standard input: one after another, answered line by line, hostile ones refused."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.lib import format as npy

from ssd_edge.cli import main
from ssd_edge.data.npy_stream import CutOffError, read_frames
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError
from tests.helpers.two_classes import PROTOTYPES

LOW, HIGH = (np.array(PROTOTYPES[name], np.float32) for name in ("low", "high"))


def frame(values: Any) -> bytes:
    """What ``np.save`` writes."""
    stream = io.BytesIO()
    np.save(stream, np.asarray(values))
    return stream.getvalue()


def header(shape: str, descr: str = "'<f4'", version: bytes = b"\x01\x00") -> bytes:
    """The beginning of a frame, with whatever it claims."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return npy.MAGIC_PREFIX + version + len(text).to_bytes(2 if version[0] == 1 else 4, "little") + text


def run(path: Path, command: str, *frames: bytes, options: tuple[str, ...] = ()) -> Result:
    return CliRunner().invoke(main, [command, str(path), "-", *options], input=b"".join(frames))


def rows(path: Path, command: str, *frames: bytes, options: tuple[str, ...] = ()) -> list[Any]:
    """Answers of a command to frames."""
    result = run(path, command, *frames, options=options)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_infer_answers_each_sample_of_each_frame(model: Path) -> None:
    batch = np.stack([HIGH, LOW]).reshape(2, 2, 3)
    pixels = (255 * HIGH).astype(np.uint8)
    answers = rows(model, "infer", frame(LOW), frame(batch), frame(np.asfortranarray(batch)), frame(pixels))
    assert [row["label"] for row in answers] == ["low", "high", "low", "high", "low", "high"]
    assert [row["source"] for row in answers[:3]] == ["frame 1", "frame 2, sample 1", "frame 2, sample 2"]
    assert answers[1]["confidence"] == answers[3]["confidence"]


def test_frames_and_lines_give_the_same_answers(model: Path) -> None:
    lines = "".join(json.dumps(x.tolist()) + "\n" for x in (LOW, HIGH))
    spoken = CliRunner().invoke(main, ["infer", str(model), "-", "--stdin-format", "json"], input=lines)
    expected = [json.loads(line) for line in spoken.stdout.splitlines()]
    found = rows(model, "infer", frame(LOW), frame(HIGH), options=("--stdin-format", "npy", "--top", "1"))
    assert [row["confidence"] for row in found] == [row["confidence"] for row in expected]


def test_learn_takes_samples_and_labels_in_turn(model: Path) -> None:
    flat = np.full((3, 6), 0.5)
    answers = rows(
        model, "learn",
        frame(flat), frame(["flat"] * 3),
        frame(flat[0]), frame(np.array([], "U1")),
        frame(LOW), frame("low"),
        frame(HIGH[None]), frame([7]),
        options=("--checkpoint-every", "1"),
    )  # fmt: skip
    assert [row.get("learned") for row in answers] == [["flat"] * 3, None, "low", ["7"], None]
    assert answers[1]["label"] == "flat"
    assert [row["source"] for row in answers[:4]] == ["frame 1", "frame 3", "frame 5", "frame 7"]
    assert [row["stored"] for row in answers if "learned" in row] == [3, 4, 5]
    assert answers[-1]["classes_added"] == ["flat", "7"]
    assert EdgeModel.load(model).samples_seen_ == 65


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            [frame(LOW[:2]), frame("low")],
            "frame 1: x has shape 2, the model takes one or several of 2 x 3, channels first",
        ),
        ([frame(LOW), frame(["a", "b"])], "frame 2: 1 samples but 2 labels"),
        ([frame(LOW), frame(HIGH)], "frame 2: 1 samples but 6 labels"),
        ([frame(["a"]), frame("low")], "frame 1: x must be numbers, got <U1"),
        ([frame(LOW * np.nan), frame("low")], "frame 1: x holds NaN or infinity"),
        ([frame(np.zeros((0, 6), np.float32)), frame("low")], "frame 1: no samples in it"),
        ([frame(np.float32(1)), frame("low")], "frame 1: x has shape 1, the model takes one or several of 2 x 3"),
        ([frame(LOW), frame([""])], "frame 2: a class name must not be empty"),
        ([frame(LOW), header("()", "'<U1'") + b"\xff\xff\xff\xff"], "frame 2: holds what is no text"),
    ],
)
def test_a_bad_pair_is_answered_and_the_stream_goes_on(
    model: Path,
    bad: list[bytes],
    message: str,
) -> None:
    answers = rows(model, "learn", *bad, frame(LOW), frame("low"))
    assert answers[0]["error"].startswith(message)
    assert answers[1]["learned"] == "low"
    assert answers[2]["samples"] == 1


def test_a_stream_that_is_cut_off_keeps_what_was_learned(model: Path) -> None:
    answers = rows(model, "learn", frame(LOW), frame("low"), frame(HIGH), frame("high")[:-3])
    assert answers[1] == {"error": "frame 4: cut off, 3 of 16 bytes are missing"}
    assert answers[2]["samples"] == 1
    alone = rows(model, "learn", frame(LOW), frame("low"), frame(HIGH))
    assert alone[1] == {"error": "frame 3: no frame of labels follows it"}
    assert rows(model, "infer", npy.MAGIC_PREFIX[:3])[0]["error"].startswith("frame 1: cut off")


class Trap:
    """Unpickling it would write a file."""

    def __reduce__(self) -> Any:
        return open, ("trapped", "w")


HOSTILE = {
    "object": (frame(np.array([Trap()], object)), "arrays of object are not read"),
    "huge": (header("(1000000000, 1000000000)"), "needs about"),
    "hidden by width 0": (header("(10000000000,)", "'<U0'"), "arrays of <U0 are not read"),
    "negative": (header("(-1, 6)"), "no array has shape"),
    "many axes": (header(str((1,) * 40)), "no array has shape"),
    "fields": (header("(1,)", "[('a', '<f4')]"), "are not read"),
    "dates": (header("(1,)", "'<M8[s]'"), "are not read"),
    "long header": (header("(1,)" + " " * 20_000), "a header of"),
    "endless header": (npy.MAGIC_PREFIX + b"\x02\x00\xff\xff\xff\xff", "a header of 4294967295 bytes"),
    "no dictionary": (npy.MAGIC_PREFIX + b"\x01\x00\x03\x00[[[", "its header cannot be read"),
    "code": (header("__import__('os').system('touch trapped')"), "its header cannot be read"),
    "version": (header("(6,)", version=b"\x03\x00"), "arrays of format 3.0 are not read"),
    "pickle": (b"\x93" + pickle.dumps([1.0] * 6), "no .npy array begins here"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("command", ["infer", "learn"])
def test_what_is_no_array_ends_the_stream_with_one_line(
    model: Path,
    command: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = model.read_bytes()
    result = run(model, command, HOSTILE[name][0])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: frame 1: ")
    assert HOSTILE[name][1] in result.stderr
    assert model.read_bytes() == before
    assert not Path("trapped").exists()


def test_what_was_checkpointed_before_no_array_comes_back(model: Path) -> None:
    broken = run(model, "learn", frame(LOW), frame("low"), b"\x93?" * 8, options=("--checkpoint-every", "1"))
    assert broken.exit_code == 2
    assert json.loads(broken.stdout)["stored"] == 1
    assert EdgeModel.load(model).samples_seen_ == 60
    assert rows(model, "learn", frame(HIGH), frame("high"), options=("--resume",))[-1]["resumed"] == 1
    assert EdgeModel.load(model).samples_seen_ == 62


def test_any_cut_gives_the_frames_before_it() -> None:
    whole = frame(LOW) + frame(["label"])
    for end in range(len(whole)):
        found = []
        try:
            for _, values in read_frames(io.BytesIO(whole[:end])):
                found.append(values)
        except CutOffError as error:
            assert str(error).startswith(f"frame {len(found) + 1}: cut off")
        assert len(found) == (end >= len(frame(LOW)))


def test_any_changed_byte_is_read_or_refused() -> None:
    whole = frame(LOW)
    for place in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            changed = whole[:place] + bytes([whole[place] ^ flip]) + whole[place + 1 :]
            try:
                list(read_frames(io.BytesIO(changed)))
            except DataError as error:
                assert "\n" not in str(error)


def test_the_format_of_standard_input_is_for_standard_input(model: Path) -> None:
    for command in ("infer", "learn"):
        result = CliRunner().invoke(main, [command, str(model), "x.npz", "--stdin-format", "npy"])
        assert result.exit_code == 2
        assert result.stderr == ("error: stdin-format is an option of standard input, -; got npy\n")


def test_each_answer_comes_before_the_next_frame(model: Path) -> None:
    """np.save into the pipe of a running command, an answer back for each, learning what is new on the way."""
    command = [sys.executable, "-m", "ssd_edge", "learn", str(model), "-", "--checkpoint-every", "1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def say(*values: Any) -> Any:
            for each in values:
                process.stdin.write(frame(each))
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        nobody = np.array([], "U1")
        assert say(LOW, nobody)["label"] == "low"
        for count in range(1, 4):
            assert say(np.full(6, 0.5), "flat")["stored"] == count
        assert say(np.full(6, 0.5), nobody)["label"] == "flat"
        process.stdin.close()
        assert json.loads(process.stdout.readline())["classes_added"] == ["flat"]
        assert process.wait(timeout=60) == 0
