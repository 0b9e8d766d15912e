"""What every command promises: help for every option, one-line errors, no traceback, near misses answered."""

from __future__ import annotations

import importlib
import io
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.progress import Progress

from ssd_edge.cli import COMMANDS, main, output
from ssd_edge.cli.output import common_options, emit_json, written_rate
from ssd_edge_runtime import __version__
from ssd_edge_runtime.errors import EdgeModelError


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    command = importlib.import_module(f"ssd_edge.cli.{name}").command
    silent = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert silent == []


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option_is_a_usage_error(runner: CliRunner, name: str) -> None:
    result = runner.invoke(main, [name, "--no-such-option"])
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert result.stdout == ""


def test_help_lists_every_command_once(runner: CliRunner) -> None:
    text = runner.invoke(main, ["--help"]).output.partition("Words:")[0]
    listed = [line.split()[0] for line in text.splitlines() if line[:2] == "  "]
    assert [name for name in listed if name in COMMANDS] == list(COMMANDS)


def test_near_miss_is_answered_with_the_command(runner: CliRunner) -> None:
    result = runner.invoke(main, ["lern"])
    assert result.exit_code == 2
    assert "Error: No such command 'lern'. Did you mean 'learn'?" in result.stderr


def test_far_miss_is_not_guessed(runner: CliRunner) -> None:
    result = runner.invoke(main, ["xyzzy"])
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: No such command 'xyzzy'.\n")


def test_version_names_the_libraries(runner: CliRunner) -> None:
    lines = runner.invoke(main, ["--version"]).output.splitlines()
    assert lines[0] == f"ssd-edge {__version__}"
    assert [line.split()[0] for line in lines[1:6]] == ["python", "numpy", "scipy", "onnx", "onnxruntime"]


@pytest.mark.parametrize(
    ("speed", "text"), [(None, ""), (0.0, ""), (1.234, "1.23/s"), (99.96, "100/s"), (12345.6, "12,346/s")]
)
def test_rate_of_a_bar(speed: float | None, text: str) -> None:
    assert written_rate(speed) == text


def test_a_bar_opens_when_work_begins_and_again_for_each_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Progress] = []

    def open_bar() -> Progress:
        opened.append(Progress(disable=True))
        return opened[-1]

    monkeypatch.setattr(output, "on_terminal", lambda: True)
    monkeypatch.setattr(output, "open_bar", open_bar)
    with output.bar("counting") as progress:
        assert opened == []
        progress(5, 10)
        assert (opened[0].tasks[0].completed, opened[0].tasks[0].total) == (5, 10)
        progress(10, 10)
        progress(3, 6)
    assert [bar.tasks[0].description for bar in opened] == ["counting", "counting, pass 2"]
    assert (opened[1].tasks[0].completed, opened[1].tasks[0].total) == (3, 6)


def test_no_bar_is_drawn_for_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: False)
    monkeypatch.setattr(output, "open_bar", lambda: pytest.fail("a bar was drawn"))
    with output.bar("counting") as progress:
        progress(1, 2)


def test_bar_shows_count_rate_and_time_left() -> None:
    bar = output.open_bar()
    task = bar.add_task("measuring", total=1000)
    bar.update(task, completed=250)
    text = Console(width=100, file=io.StringIO(), record=True)
    text.print(bar.get_renderable())
    shown = text.export_text()
    assert "measuring" in shown
    assert "250/1000" in shown
    assert "-:--:--" in shown


@click.command()
@click.argument("what")
@common_options
def failing(what: str, as_json: bool) -> None:
    """Fail in the way asked for."""
    if what == "model":
        raise EdgeModelError("model.onnx: not\n  a model")
    if what == "file":
        Path("/no/such/folder/model.onnx").read_bytes()
    if what == "memory":
        raise MemoryError
    emit_json({"as_json": as_json, "values": [1.5, 2], "text": "[1,\n2]"})


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("model", "error: model.onnx: not a model\n"),
        ("file", "error: /no/such/folder/model.onnx: No such file or directory\n"),
        ("memory", "error: not enough memory on this machine\n"),
    ],
)
def test_an_error_is_one_line_and_status_2(runner: CliRunner, what: str, line: str) -> None:
    result = runner.invoke(failing, [what])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", line)


def test_debug_shows_the_traceback(runner: CliRunner) -> None:
    result = runner.invoke(failing, ["model", "--debug"])
    assert isinstance(result.exception, EdgeModelError)


def test_json_keeps_numbers_on_one_line_and_text_as_it_is(runner: CliRunner) -> None:
    result = runner.invoke(failing, ["nothing", "--json"])
    expected = '{\n  "as_json": true,\n  "values": [ 1.5, 2 ],\n  "text": "[1,\\n2]"\n}\n'
    assert result.stdout == expected.replace("[ 1.5, 2 ]", "[1.5, 2]")
