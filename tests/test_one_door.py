"""A model file is read to be used by ``storage.load_state`` alone, which asks who signed it."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
READERS = {"load", "from_bytes", "read_header", "decode"}
ALLOWED = {
    "runtime/ssd_edge_runtime/storage/source.py": "the door",
    "runtime/ssd_edge_runtime/storage/trust.py": "part of it",
    "runtime/ssd_edge_runtime/storage/generations.py": "lists generations",
    "runtime/ssd_edge_runtime/serving/gradient_learner.py": "a record of a journal, whose seal was checked",
    "ssd_edge/cli/inspect.py": "shows a file, and runs nothing",
    "ssd_edge/cli/export.py": "describes what it has just written",
    "runtime/ssd_edge_runtime/checkpoints.py": "asks what a file grew from",
    "ssd_edge/on_device/merging.py": "names the classes of a file that is about to be replaced",
    "ssd_edge/demo.py": "counts the bytes of what it has just written",
    "export/ssd_edge_export/verification/verification.py": "judges a file",
    "export/ssd_edge_export/verification/trial.py": "a file that was judged",
    "device_bench/ssd_edge_bench/engines/__init__.py": "the copy of a file that came through the door",
    "device_bench/ssd_edge_bench/engines/edge.py": "the same",
    "device_bench/ssd_edge_bench/engines/prepare.py": "the same",
}


def readers(source: str) -> bool:
    """Whether a module turns the bytes of a model file into a model."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ssd_edge_runtime.model_file"):
            found = any(alias.name in READERS for alias in node.names)
        else:
            asked = isinstance(node, ast.Attribute) and node.attr in READERS
            found = asked and isinstance(node.value, ast.Name) and node.value.id == "model_file"
        if found:
            return True
    return False


def test_there_is_no_other_door() -> None:
    found = set()
    for package in ("runtime", "export", "device_bench", "ssd_edge"):
        for path in (ROOT / package).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if "/model_file/" not in name and readers(path.read_text()):
                found.add(name)
    assert found <= set(ALLOWED)


def test_a_planted_door_is_found() -> None:
    assert readers("from ssd_edge_runtime.model_file import load")
    assert readers("from ssd_edge_runtime import model_file\nmodel_file.from_bytes(b'')")
    assert not readers("from ssd_edge_runtime import model_file\nmodel_file.describe('m')")
