"""Help pages: example first, options under headings, long lists shortened, words explained, no heavy import."""

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from ssd_edge.cli import COMMANDS, main
from ssd_edge.cli.glossary import TERMS, terms_in
from ssd_edge.cli.groups import GROUPS
from ssd_edge.cli.help import MANY, OTHERS, SHOWN, Command, long_name

HEAVY = ("numpy", "scipy", "torch", "onnx", "onnxruntime", "PIL", "rich", "psutil", "ssd_edge_runtime.model")


def page(*words: str) -> str:
    result = CliRunner().invoke(main, list(words), terminal_width=100)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def command_of(name: str) -> Command:
    command = importlib.import_module(f"ssd_edge.cli.{name}").command
    assert isinstance(command, Command)
    return command


def options_of(name: str) -> list[click.Option]:
    command = command_of(name)
    found = command.get_params(click.Context(command, help_option_names=["-h", "--help"]))
    return [param for param in found if isinstance(param, click.Option)]


def whole_page(name: str) -> str:
    return page(name, "--help-all" if len(options_of(name)) > MANY else "--help")


def listed(text: str) -> list[str]:
    """Long names of the options that a page lists."""
    lines = text.splitlines()
    start = min(number for number, line in enumerate(lines) if line.rstrip(":") in GROUPS)
    rows = [line.split() for line in lines[start:] if line.startswith("  -")]
    return [next(word for word in row if word.startswith("--")).rstrip(",") for row in rows]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_comes_first(name: str) -> None:
    lines = page(name, "--help").splitlines()
    assert lines[0].startswith(f"Usage: ssd-edge {name} ") or lines[0].startswith("Usage: main ")
    start = lines.index("  Example:")
    assert lines[start - 1] == "" and all(line.startswith(" ") for line in lines[1 : start - 1])
    assert any(f"ssd-edge {name}" in line for line in lines[start + 1 : lines.index("", start)])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_whole_page_lists_every_option_under_a_heading(name: str) -> None:
    text = whole_page(name)
    assert sorted(listed(text)) == sorted(long_name(option) for option in options_of(name))
    assert f"{OTHERS}:" not in text.splitlines()
    headings = [line.rstrip(":") for line in text.splitlines() if line.rstrip(":") in GROUPS]
    assert headings == [heading for heading in GROUPS if heading in headings]
    assert headings[-1] == "Every command" and {"--json", "--debug"} <= set(listed(text))


@pytest.mark.parametrize("name", [name for name in COMMANDS if len(options_of(name)) > MANY])
def test_a_long_list_is_shortened(name: str) -> None:
    text = page(name, "--help")
    assert len(listed(text)) == SHOWN
    assert f"{len(options_of(name)) - SHOWN} more options with --help-all." in text.splitlines()
    assert set(command_of(name).first) == set(listed(text))


def test_these_lists_are_long() -> None:
    long = [name for name in COMMANDS if len(options_of(name)) > MANY]
    assert long == ["train", "encoder", "compare", "learn", "forget", "merge"]


def test_a_long_command_that_names_none_shows_its_first_options() -> None:
    options = [click.Option([f"--option-{number}"]) for number in range(MANY)]
    result = CliRunner().invoke(Command("many", params=options), ["--help"])
    names = [word for word in result.stdout.split() if word.startswith("--option-")]
    assert names == [f"--option-{number}" for number in range(SHOWN)]


@pytest.mark.parametrize("name", COMMANDS)
def test_words_that_a_page_uses_are_explained(name: str) -> None:
    text, _, words = whole_page(name).partition("\nWords:\n")
    told = " ".join(words.split())
    expected = terms_in(" ".join(text.split()))
    assert told == " ".join(" ".join(row).replace("  ", " ") for row in expected)


def test_the_page_of_all_commands_explains_its_words() -> None:
    text = page("--help")
    assert text.index("Example:") < text.index("Sparse continual") < text.index("Commands:") < text.index("Words:")
    assert "  generation  one saved state of a file" in text


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("pruned weights, distillation", ["distill", "prune"]),
        ("the closed-form readout of tasks", ["closed form", "readout", "task"]),
        ("--readout and --no-distill are names", []),
        ("with W frozen", ["W"]),
        ("w and sgd", []),
    ],
)
def test_terms_are_found_in_their_forms(text: str, terms: list[str]) -> None:
    assert [term for term, _ in terms_in(text)] == terms


def test_terms_stand_in_order_and_are_not_explained_by_themselves() -> None:
    assert list(TERMS) == sorted(TERMS, key=str.lower)
    assert all(meaning and not meaning.endswith(".") for meaning in TERMS.values())


def test_help_version_and_completion_import_nothing_heavy(model: Path) -> None:
    script = f"""
import sys
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from ssd_edge.cli import COMMANDS, main
pages = [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS), ["train", "--help-all"]]
for words in pages:
    result = CliRunner().invoke(main, words)
    assert result.stdout and result.exit_code == 0, (words, result.output)
shell = ShellComplete(main, {{}}, "ssd-edge", "_SSD_EDGE_COMPLETE")
offered = [
    shell.get_completions(["train", "digits"], "--"),
    shell.get_completions(["train", "--class-order", "b,a", "--hidden", "10", "digits", "--method"], ""),
    shell.get_completions(["forget", {str(model)!r}, "--class"], ""),
    *(shell.get_completions([name], "--") for name in COMMANDS),
]
assert all(offered), offered
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_listing_the_commands_imports_none_of_them() -> None:
    script = (
        "import sys\nfrom click.testing import CliRunner\nfrom ssd_edge.cli import COMMANDS, main\n"
        "CliRunner().invoke(main, ['--help'])\n"
        "print([name for name in COMMANDS if f'ssd_edge.cli.{name}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
