"""Files are written by ``storage.atomic`` alone, so that none is ever half there and no temporary one stays."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
WRITERS = {"write_text", "write_bytes", "savefig", "savez", "savetxt", "tofile"}
TEMPORARY = {"mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory"}
ALLOWED = {
    "runtime/ssd_edge_runtime/storage/atomic.py": "the way itself: a device is written into as it is",
    "ssd_edge/training/figures.py": "into a stream of atomic.writing",
    "ssd_edge/data/archives.py": "the same",
    "device_bench/ssd_edge_bench/measurement/measurement.py": "into a scratch folder",
    "device_bench/ssd_edge_bench/engines/prepare.py": "the same",
    "ssd_edge/cli/help.py": "a method of click's, which writes to no file",
    "device_bench/ssd_edge_bench/reference.py": "run by hand",
    "device_bench/ssd_edge_bench/fit_costs.py": "run by hand",
}


def writes(source: str) -> Iterator[str]:
    """What a module calls to write a file, or to make a temporary one, in another way."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if (
            (isinstance(node.func, ast.Attribute) and name in WRITERS)
            or name in TEMPORARY
            or (name == "open" and any(str(mode)[:1] in "wax" and mode for mode in modes))
        ):
            yield name


def test_there_is_no_other_way() -> None:
    found = set()
    for package in ("runtime", "export", "device_bench", "ssd_edge"):
        for path in (ROOT / package).rglob("*.py"):
            if list(writes(path.read_text())):
                found.add(path.relative_to(ROOT).as_posix())
    assert found - set(ALLOWED) == set()
    assert set(ALLOWED) - found == set()


def test_a_planted_one_is_found() -> None:
    assert list(writes("Path(p).write_text('x')")) == ["write_text"]
    assert list(writes("with open(p, 'w') as f: pass")) == ["open"]
    assert list(writes("p.open('xb')")) == ["open"]
    assert list(writes("tempfile.mkdtemp()")) == ["mkdtemp"]
    assert not list(writes("write_text(p, 'x'); p.open('rb'); open(p); os.open(p, flags)"))
