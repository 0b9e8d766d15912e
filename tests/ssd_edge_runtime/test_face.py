"""What ``import ssd_edge_runtime`` shows, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from small_models import analytic_state, samples

import ssd_edge_runtime
from ssd_edge_runtime import EdgeModel, merge
from ssd_edge_runtime.lazy import lazy

NAMES = {
    "AnalyticOptions",
    "EdgeModel",
    "EdgeModelError",
    "Encoder",
    "LearningOptions",
    "LossDetector",
    "Remarks",
    "ScaleWarning",
    "__version__",
    "merge",
    "rebase",
}
LIGHT = {"ssd_edge_runtime", "ssd_edge_runtime.lazy"}


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_face_is_complete() -> None:
    assert set(ssd_edge_runtime.__all__) == NAMES
    assert set(dir(ssd_edge_runtime)) >= NAMES
    for name in NAMES - {"__version__"}:
        assert getattr(ssd_edge_runtime, name).__name__ == name
    with pytest.raises(AttributeError, match="'ssd_edge_runtime' has no attribute 'Edgemodel'"):
        _ = ssd_edge_runtime.Edgemodel  # type: ignore[attr-defined]


def test_completion_finds_the_names_before_they_are_used() -> None:
    code = (
        "import rlcompleter, ssd_edge_runtime; complete = rlcompleter.Completer(globals()).complete; "
        "print(complete('ssd_edge_runtime.EdgeModelE', 0))"
    )
    assert run(code).startswith("ssd_edge_runtime.EdgeModelError")


def test_type_checkers_see_the_home_of_every_name() -> None:
    tree = ast.parse(Path(ssd_edge_runtime.__file__).read_text())
    told = {
        alias.name: node.module
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert told == {name: getattr(ssd_edge_runtime, name).__module__ for name in NAMES - {"__version__"}}


def test_importing_the_package_imports_nothing_but_the_package() -> None:
    found = run("import sys; old = set(sys.modules); import ssd_edge_runtime; print(*set(sys.modules) - old)")
    ours = {name for name in found.split() if name.startswith(("ssd_edge", "numpy", "scipy", "onnx", "torch"))}
    assert ours == LIGHT


def test_a_lazy_name_is_imported_once() -> None:
    code = (
        "import ssd_edge_runtime as r; before = 'EdgeModel' in vars(r); first = r.EdgeModel; "
        "print(before, vars(r)['EdgeModel'] is first)"
    )
    assert run(code).split() == ["False", "True"]
    getattribute, names = lazy("ssd_edge_runtime", {"model": ("EdgeModel",)})
    assert getattribute("EdgeModel") is EdgeModel
    assert "EdgeModel" in names()


def test_merge_is_the_models_own() -> None:
    base = EdgeModel(analytic_state())
    devices = [EdgeModel(base.state).partial_fit(*samples(seed, 12, classes=4)) for seed in (1, 2)]
    x, _ = samples(3, 9)
    assert merge(devices, base).logits(x).tobytes() == EdgeModel.merge(devices, base).logits(x).tobytes()
