"""Run commands in this process, as tests of the command line do."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from ssd_edge.cli import main


def call(*args: object, text: str | None = None) -> Result:
    """Run a command; ``text`` is its standard input."""
    return CliRunner().invoke(main, [str(arg) for arg in args], input=text)


def ask(*args: object) -> Any:
    """Run a command with --json and return its one document."""
    result = call(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refused(*args: object) -> str:
    """Run a command that must fail with one line and status 2; returns the line without ``error: ``."""
    result = call(*args)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").strip()
