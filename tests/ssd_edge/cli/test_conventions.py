"""What every command promises: help with an example, one-line errors, no traceback, near misses answered."""

from __future__ import annotations

import importlib
import io
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
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
def test_command_has_help_with_an_example(runner: CliRunner, name: str) -> None:
    result = runner.invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output
    assert f"ssd-edge {name}" in result.output.split("Example")[1]
    assert "--json" in result.output
    assert "--debug" in result.output


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
    listed = [line.split()[0] for line in runner.invoke(main, ["--help"]).output.splitlines() if line[:2] == "  "]
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_for_each_shell(runner: CliRunner, shell: str) -> None:
    result = runner.invoke(main, env={"_SSD_EDGE_COMPLETE": f"{shell}_source"}, prog_name="ssd-edge")
    assert result.exit_code == 0
    assert "_SSD_EDGE_COMPLETE" in result.stdout


def complete(words: str) -> list[str]:
    """What the shell would offer for the last of ``words``."""
    *before, last = words.split(" ")
    offers = ShellComplete(main, {}, "ssd-edge", "_SSD_EDGE_COMPLETE").get_completions(before, last)
    return [offer.value for offer in offers]


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("le", ["learn"]),
        ("re", ["rename"]),
        ("infer --eng", ["--engine"]),
        ("infer --engine c", ["csr"]),
        ("bench --profile raspberry-pi-", ["raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w"]),
        ("bench --engines csr,onnxruntime-", ["csr,onnxruntime-dense", "csr,onnxruntime-int8"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(words: str, offers: list[str]) -> None:
    assert complete(words) == offers


@pytest.mark.parametrize(
    ("speed", "text"), [(None, ""), (0.0, ""), (1.234, "1.23/s"), (99.96, "100/s"), (12345.6, "12,346/s")]
)
def test_rate_of_a_bar(speed: float | None, text: str) -> None:
    assert written_rate(speed) == text


def test_passes_open_a_new_bar_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "on_terminal", lambda: True)
    opened = Progress(disable=True)
    monkeypatch.setattr(output, "open_bar", lambda: opened)
    with output.passes("counting") as report:
        report(5, 10)
        assert (opened.tasks[0].completed, opened.tasks[0].total) == (5, 10)
        report(10, 10)
        report(3, 6)
    assert opened.tasks[0].description == "counting, pass 2"
    assert (opened.tasks[0].completed, opened.tasks[0].total) == (3, 6)


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


def test_listing_the_commands_imports_none_of_them() -> None:
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom ssd_edge.cli import main\n"
        "CliRunner().invoke(main, ['--help'])\n"
        "print([m for m in sys.modules if m == 'torch' or m.startswith('ssd_edge.cli.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
