"""What is printed steers no terminal; that it cannot be printed is no failure of what was done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import ask, call
from small_models import analytic_state, samples

from ssd_edge.cli import main
from ssd_edge.cli.completion import offer_classes
from ssd_edge.cli.terminal import STEERING, encodable, printable, printable_json
from ssd_edge_runtime import EdgeModel, model_file

pytestmark = pytest.mark.usefixtures("trial_here")

EVIL = "\x1b]0;title\x07\x1b[31m\x9b2J\u202egnp\u2066\x08\x7f"
"""Renames the window, colours, clears, turns text around, goes back."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    state = analytic_state()
    state.provenance = {"trained": EVIL, EVIL: 1, "pruned": {EVIL: EVIL + "\nforged: line"}}
    path.write_bytes(model_file.to_bytes(state))
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    x, y = samples(1, 40, classes=5)
    np.savez(tmp_path / "data.npz", x=x, y=y, classes=np.array(list("01234")))
    return tmp_path / "data.npz"


def test_every_control_and_every_turn_of_direction_is_steering() -> None:
    turning = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for number in range(0x110000):
        letter = chr(number)
        if (
            unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(letter) in turning
        ):
            assert STEERING.fullmatch(letter), hex(number)


def test_letters_of_every_script_stay_as_they_are() -> None:
    for text in ("Żółw", "井戸", "قطة", "חתול", "बिल्ली", "👩‍🔬", "naïve", "[b] 100 % \\n"):
        assert printable(text) == text


def test_a_document_stays_the_same() -> None:
    document = {EVIL: [EVIL, "a\nb\tc", "井戸", 1.5, None]}
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(text) == document
    assert STEERING.sub("", text) == text.replace("\n", "")


VERBS: list[tuple[str, ...]] = [
    ("inspect", "{model}"),
    ("inspect", "{model}", "--json"),
    ("history", "{model}"),
    ("history", "{model}", "--json"),
    ("verify", "{model}"),
    ("eval", "{model}", "{data}"),
    ("infer", "{model}", "{data}"),
    ("rename", "{model}", "0", "zero"),
    ("learn", "{model}", "{data}"),
    ("inspect", EVIL),
    ("learn", "{model}", EVIL),
    ("rename", "{model}", EVIL, "x"),
    ("rename", "{model}", "0", EVIL),
    ("forget", "{model}", "--class", EVIL),
    ("eval", "{model}", "{data}", "--split", EVIL),
    ("merge", "{model}", EVIL, "--base", EVIL, "-o", "x.onnx"),
    (EVIL,),
    ("learn", f"--{EVIL}"),
    (f"--{EVIL}",),
]


@pytest.mark.parametrize("words", VERBS, ids=[f"{n}-{words[0][:7]!r}" for n, words in enumerate(VERBS)])
def test_nothing_reaches_the_terminal_raw(words: tuple[str, ...], model: Path, data: Path) -> None:
    folder = model.parent / EVIL.replace("/", "")
    folder.mkdir()
    moved = model.rename(folder / model.name)
    done = call(*(word.format(model=moved, data=data) for word in words))
    assert done.exit_code in (0, 2)
    for line in (done.stdout + done.stderr).split("\n"):
        assert STEERING.search(line) is None, ascii(line)


def test_help_and_usage_keep_their_lines() -> None:
    assert "\nCommands:\n" in call().stderr
    assert "Error: Missing argument 'MODEL'.\n" in call("inspect").stderr


def test_ctrl_c_while_words_are_read_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("click.Group.parse_args", pressed)
    assert call("inspect", "x.onnx").exit_code == 130


def test_provenance_forges_no_line(model: Path) -> None:
    lines = call("inspect", model).stdout.splitlines()
    assert not any(line.startswith("forged") for line in lines)
    assert any(r"\nforged: line" in line for line in lines)


def test_names_that_steer_are_not_offered_to_a_shell(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "class_names", lambda path: ("good", EVIL))
    context = main.make_context("ssd-edge", ["rename", str(model)], resilient_parsing=True)
    context.params["model"] = model
    assert [item.value for item in offer_classes(context, main.params[0], "")] == ["good"]


def run(words: list[Any], **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ssd_edge", *map(str, words)]
    return subprocess.run(command, stderr=subprocess.PIPE, timeout=120, check=False, **more)


@pytest.fixture(params=["closed pipe", "full disk", "closed descriptor"])
def unheard(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """Standard outputs that take nothing."""
    if request.param == "closed descriptor":
        yield {"preexec_fn": lambda: os.close(1)}
        return
    if request.param == "full disk":
        if not Path("/dev/full").exists():
            pytest.skip("needs /dev/full")
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    yield {"stdout": writer}
    os.close(writer)


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors")
@pytest.mark.parametrize("as_json", [(), ("--json",)])
@pytest.mark.parametrize("verb", ["learn", "forget"])
def test_what_is_saved_is_a_success(
    verb: str, as_json: tuple[str, ...], model: Path, data: Path, unheard: dict[str, Any]
) -> None:
    words = [data] if verb == "learn" else ["--class", "0"]
    done = run([verb, model, *words, *as_json], **unheard)
    assert done.returncode == 0, done.stderr
    assert EdgeModel.load(model).classes_ == (list("01234") if verb == "learn" else list("12"))
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_answer_that_is_lost_is_a_failure(model: Path, data: Path) -> None:
    """A command that only tells has failed where it cannot; a reader that has gone wants no more."""
    with Path("/dev/full").open("wb") as full:
        done = run(["infer", model, data], stdout=full)
    assert (done.returncode, done.stderr) == (2, b"error: standard output: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    done = run(["infer", model, data], stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("encoding", ["ascii", "koi8-r", "shift_jis:strict"])
@pytest.mark.parametrize("verb", ["learn", "infer", "eval", "inspect", "history", "rename"])
def test_letters_that_the_encoding_lacks_are_written_out(
    verb: str, encoding: str, model: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for old, new in zip("012", ("Żółw", "井戸", "Ёж"), strict=True):
        assert call("rename", model, old, new).exit_code == 0
    words = {"learn": [data], "infer": [data], "eval": [data], "rename": ["Żółw", "turtle"]}.get(verb, [])
    for extra in ([], ["--json"]):
        if verb == "rename":
            words = [["Żółw", "ŻÓŁW"], ["ŻÓŁW", "Żółw"]][bool(extra)]
        result = CliRunner(charset=encoding.split(":")[0]).invoke(
            main, [verb, str(model), *map(str, words), *extra], env={"PYTHONIOENCODING": encoding}
        )
        assert result.exit_code == 0, result.stderr
    assert ask("inspect", model)["classes"][1] == "井戸"


def test_an_escaped_document_is_the_same_document(model: Path) -> None:
    call("rename", model, "0", "井戸")
    told = CliRunner(charset="ascii").invoke(main, ["inspect", str(model), "--json"])
    assert json.loads(told.stdout)["classes"][0] == "井戸"
    assert not encodable("\udcff")


def test_a_message_that_nobody_hears_stops_nothing(model: Path, data: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    command = [sys.executable, "-m", "ssd_edge", "learn", str(model), str(data), "--json"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, timeout=120, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["kept"] is True
