"""Who may import whom: every import of the four packages against the table of rooms."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = {
    "ssd_edge_runtime": ROOT / "runtime",
    "ssd_edge_export": ROOT / "export",
    "ssd_edge_bench": ROOT / "device_bench",
    "ssd_edge": ROOT,
}
ORDER = {
    "ssd_edge_runtime": (
        "checkpoints",
        "model",
        "serving",
        "gradient | analytic",
        "network | storage",
        "model_file",
        "state",
        "encoder",
        "onnx",
        "sparse",
        "input_facts",
        "detector | names | ledger",
        "options | files | memory | confinement",
        "errors | arrays | lazy",
    ),
    "ssd_edge_export": (
        "verification",
        "export",
        "assembly | pruning",
        "calibration",
        "passes",
        "samples",
        "options | place",
    ),
    "ssd_edge_bench": (
        "fit_costs | reference | ratios | one_pass",
        "report",
        "measurement",
        "engines | machine | roofline | reference_models | footprint",
    ),
    "ssd_edge": (
        "__main__",
        "cli",
        "demo",
        "comparison",
        "training",
        "methods",
        "encoders",
        "model",
        "on_device",
        "data",
    ),
}
"""Rooms and files of each package from top to bottom: each imports what stands below it, and nothing above or
beside it. A package's own ``__init__`` stands above all."""
FOREIGN: dict[str, dict[str, set[str] | None]] = {
    "ssd_edge_runtime": {},
    "ssd_edge_export": {
        "ssd_edge": {"model", "data", "methods", "encoders", "training"},
        "ssd_edge_runtime": None,
    },
    "ssd_edge_bench": {"ssd_edge_runtime": None},
    "ssd_edge": {"ssd_edge_runtime": None},
}
"""Other packages that each may import: some rooms of them, or None for all."""
FRONT = {"cli", "demo", ""}
"""What of ssd_edge alone imports export and bench: the command line, the demo, and the package's own face, which
only names what it shows. They may use that face, too, as its users do."""

Graph = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of the four packages, by its dotted name."""
    found = {}
    for package, home in HOMES.items():
        for path in (home / package).rglob("*.py"):
            parts = path.relative_to(home).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, known: set[str]) -> Iterator[str]:
    """Those of the ``known`` modules that a source imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in known or node.module in known:
                    yield whole if whole in known else str(node.module)


@pytest.fixture(scope="module")
def graph() -> Graph:
    known = modules()
    return {name: set(imported(path.read_text(), set(known))) - {name} for name, path in known.items()}


def room(module: str) -> str:
    """``sparse`` of ``ssd_edge_runtime.sparse.csr``; empty for the package itself."""
    return [*module.split("."), ""][1]


def violations(graph: Graph) -> list[str]:
    """One line for each import that the tables above do not allow."""
    levels = {
        package: {name: level for level, names in enumerate(order) for name in names.split(" | ")}
        for package, order in ORDER.items()
    }
    wrong = []
    for module, targets in sorted(graph.items()):
        package, here = module.partition(".")[0], room(module)
        for target in sorted(targets):
            other, there = target.partition(".")[0], room(target)
            if other != package:
                allowed = dict(FOREIGN[package])
                if package == "ssd_edge" and here in FRONT:
                    allowed |= {"ssd_edge_export": None, "ssd_edge_bench": None}
                rooms = allowed.get(other, set())
                good = rooms is None or there in rooms
            elif here == there or not here or (here in FRONT and not there):
                good = True
            else:
                good = levels[package].get(there, -1) > levels[package].get(here, 99)
            if not good:
                wrong.append(f"{module} imports {target}")
    return wrong


def test_every_room_stands_in_the_table() -> None:
    for package, order in ORDER.items():
        rooms = {room(name) for name in modules() if name.startswith(f"{package}.")}
        assert rooms == {name for names in order for name in names.split(" | ")}


def test_no_import_climbs(graph: Graph) -> None:
    assert violations(graph) == []


def test_no_two_files_import_each_other(graph: Graph) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(error.args[1]))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("ssd_edge_runtime.sparse.csr", "from ssd_edge_runtime.serving.snapshot import Snapshot"),
        ("ssd_edge_runtime.gradient.step", "from ssd_edge_runtime.analytic import gram"),
        ("ssd_edge_runtime.model", "import ssd_edge.data"),
        ("ssd_edge.training.api", "def f():\n    from ssd_edge_export import prune"),
        ("ssd_edge.on_device.learn", "from ssd_edge.cli.output import say"),
        ("ssd_edge_export.pruning.masks", "from ssd_edge_export.assembly.state import build_state"),
    ],
)
def test_a_planted_import_is_found(graph: Graph, module: str, line: str) -> None:
    known = set(modules())
    planted = graph | {module: set(imported(line, known))}
    (target,) = planted[module]
    assert f"{module} imports {target}" in violations(planted)


def test_the_device_side_never_imports_torch_or_click() -> None:
    for name, path in modules().items():
        if name.partition(".")[0] == "ssd_edge_runtime" or room(name) == "on_device":
            found = set(imported(path.read_text(), {"torch", "torchvision", "click"}))
            assert not found, name
