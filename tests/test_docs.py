"""README, tutorial and how-to pages run as written; links lead somewhere; generated pages follow from the code."""

from __future__ import annotations

import importlib
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import click
import pytest

from ssd_edge.cli import COMMANDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
HOW_TO = sorted((DOCS / "how-to").glob("*.md"))
LINK = re.compile(r"\]\(([^)#]+)?(?:#([^)]+))?\)")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"[0-9a-f]{12,}|\d[\d.,:T+e-]*")
GUIDE_WORDS = 7000


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(BLOCK.sub("", page.read_text())):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{name_of(page)} links to {target}"
        if anchor:
            assert anchor in headings(place), f"{name_of(page)} links to {target}#{anchor}"


def test_every_page_is_reached_from_the_index() -> None:
    linked = {
        (index.parent / target).resolve()
        for index in (DOCS / "README.md", DOCS / "lab" / "README.md")
        for target, _ in LINK.findall(index.read_text())
    }
    assert [name_of(page) for page in PAGES if page.name != "README.md" and page not in linked] == []


def test_guides_are_short() -> None:
    words = sum(len(page.read_text().split()) for page in (DOCS / "tutorial.md", *HOW_TO))
    assert words < GUIDE_WORDS


def test_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert 'pip install -e ".[train]" && ssd-edge demo' in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


# Commands


def commands(text: str) -> Iterator[list[str]]:
    """Words of every ``ssd-edge`` command in the blocks of a page, lines that go on joined."""
    for language, block in BLOCK.findall(text):
        if language not in ("sh", "console"):
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if language == "console" and not line.startswith("$ "):
                continue
            for part in re.split(r"&&|;|\|", line.removeprefix("$ ").partition("  #")[0]):
                words = shlex.split(part)
                following = words[words.index("ssd-edge") + 1 :] if "ssd-edge" in words else []
                if following and not following[0].startswith("-"):
                    yield following


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page: Path) -> None:
    for name, *words in commands(page.read_text()):
        assert name in COMMANDS, f"{name_of(page)}: ssd-edge {name}"
        command = importlib.import_module(f"ssd_edge.cli.{name}").command
        known = {
            option
            for p in command.params
            if isinstance(p, click.Option)
            for option in (*p.opts, *p.secondary_opts)
        }
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= {*known, "--help", "-h"}, f"{name_of(page)}: ssd-edge {name} {' '.join(words)}"


def test_what_does_not_run_stands_where_it_must() -> None:
    """Guides hold ``console`` blocks, which no test runs, only for installing, downloads and several processes."""
    unrun = {
        page.name
        for page in HOW_TO
        if any(language == "console" for language, _ in BLOCK.findall(page.read_text()))
    }
    assert unrun == {"compare.md", "encoder.md", "install.md", "train.md"}


# What is generated


@pytest.mark.parametrize("page", ["command-line.md", "python.md", "options.md"])
def test_reference_is_what_the_code_gives(page: str) -> None:
    generator = runpy.run_path(str(DOCS / "reference" / "generate.py"))
    written = (DOCS / "reference" / page).read_text()
    assert generator["PAGES"][page]() == written, "run python docs/reference/generate.py"


def test_pictures_are_what_their_scripts_draw(tmp_path: Path) -> None:
    scripts = DOCS / "lab" / "scripts"
    assert (
        runpy.run_path(str(scripts / "draw_rooms.py"))["draw"]()
        == (DOCS / "explanation" / "rooms.svg").read_text()
    )
    runpy.run_path(str(scripts / "draw_keeping.py"))["draw"](tmp_path / "keeping.svg")
    drawn, kept = ((place / "keeping.svg").read_text() for place in (tmp_path, DOCS / "lab" / "results"))
    lines = re.compile(r'<g id="line2d_\d+">\n\s+<path d="[^"]*"')
    assert lines.findall(drawn) == lines.findall(kept)


def test_the_picture_of_the_rooms_names_all_of_them() -> None:
    table = runpy.run_path(str(DOCS / "lab" / "scripts" / "draw_rooms.py"))["BOXES"]
    for package, rooms, *_ in table:
        home = Path(str(importlib.import_module(package).__file__)).parent
        assert {room for room, _ in rooms} == {path.parent.name for path in home.glob("*/__init__.py")}, package


def test_the_readmes_sentences_lead_to_files() -> None:
    page = (DOCS / "explanation" / "architecture.md").read_text().split("## Where is what?")[1]
    rows = re.findall(r"^\| [^|]+ \| `([^`]+)/` \| ([^|]+) \|$", page, re.MULTILINE)
    assert len(rows) == (ROOT / "README.md").read_text().count("\n- **")
    for folder, files in rows:
        for file in re.findall(r"`([^`]+)`", files):
            assert (ROOT / folder / file).is_file(), f"{folder}/{file}"


# What runs


def run(language: str, text: str, folder: Path) -> str:
    """Standard output and error of a block, which must succeed."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", "-euo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{text}\n{done.stderr}"
    return done.stdout


def told(output: str) -> list[str]:
    """Lines without their figures and spaces, which differ between machines."""
    return [" ".join(NUMBER.sub("#", line).split()) for line in output.strip().splitlines()]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the tutorial was followed, its output compared line by line."""
    folder = tmp_path_factory.mktemp("tutorial")
    before = ""
    for language, text in BLOCK.findall((DOCS / "tutorial.md").read_text()):
        if language in ("sh", "python"):
            before = run(language, text, folder)
        elif language == "text":
            assert told(before) == told(text)
    return folder


@pytest.mark.slow
def test_the_tutorial_runs_as_written(followed: Path) -> None:
    assert (followed / "model.onnx").is_file()


@pytest.fixture(scope="module")
def results(
    followed: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[None]]]:
    """How-to pages, each followed in a copy of that folder, as many at once as there are cores."""

    def follow(page: Path, folder: Path) -> None:
        shutil.copytree(followed, folder, dirs_exist_ok=True)
        for language, text in BLOCK.findall(page.read_text()):
            if language in ("sh", "python"):
                run(language, text, folder)

    items = [
        item
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_how_to_runs_as_written"
    ]
    pages = [item.callspec.params["page"] for item in items]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {page: pool.submit(follow, page, tmp_path_factory.mktemp(page.stem)) for page in pages}


@pytest.mark.slow
@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_how_to_runs_as_written(results: dict[Path, Future[None]], page: Path) -> None:
    results[page].result()


@pytest.mark.slow
def test_the_readmes_python_prints_what_it_says(tmp_path: Path) -> None:
    run("sh", "ssd-edge demo", tmp_path)
    blocks = [
        text
        for language, text in BLOCK.findall((ROOT / "README.md").read_text())
        if language in ("python", "text")
    ]
    code, output = blocks
    assert run("python", code, tmp_path).strip() == output.strip()
    assert len([line for line in code.splitlines() if line]) == 10
