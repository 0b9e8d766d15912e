"""README and guide pages: every command runs as written, every link leads somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
GUIDES = ("tutorial", "how-to/learn", "how-to/measure")
ELSEWHERE = {"ssd-edge demo"}
"""Lines that another test runs."""
LINK = re.compile(r"\]\(([^)#]+)?(?:#([^)]+))?\)")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    """Anchors of a page, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        if target.startswith(("http:", "https:", "mailto:")):
            continue
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(place), f"{page.name} links to {target}#{anchor}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in PAGES[1:]]
    missing = [page for page in pages if page != "README.md" and f"({page})" not in index]
    assert missing == []


def test_readme_has_the_two_commands() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert 'pip install -e ".[train]" && ssd-edge demo' in lines
    assert 'pip install -e ".[dev]" && pytest' in lines


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder in which the guides are followed, one after the other."""
    return tmp_path_factory.mktemp("docs")


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES)
def test_guide_runs_as_written(workspace: Path, guide: str) -> None:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    blocks = BLOCK.findall((ROOT / "docs" / f"{guide}.md").read_text())
    assert blocks
    for language, text in blocks:
        kept = "\n".join(line for line in text.splitlines() if line not in ELSEWHERE)
        command = ["bash", "-euo", "pipefail", "-c", kept] if language == "sh" else [sys.executable, "-c", kept]
        done = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{guide}.md: {kept}\n{done.stderr}"
