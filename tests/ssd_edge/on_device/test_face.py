"""The public names of ``ssd_edge.on_device``, and what they do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ssd_edge import on_device


def test_every_public_name_is_found_and_documented() -> None:
    assert set(on_device.__all__) <= set(dir(on_device))
    for name in on_device.__all__:
        public = getattr(on_device, name)
        assert public.__name__ == name
        assert public.__doc__
    with pytest.raises(AttributeError, match="no attribute 'teach'"):
        on_device.teach  # noqa: B018


@pytest.mark.parametrize("name", [name for name in on_device.__all__ if name[0].islower()])
def test_every_function_shows_an_example(name: str) -> None:
    example = getattr(on_device, name).__doc__.split(">>> ", 1)[1]
    assert f"{name}(" in example


SCRIPT = """
import sys
for blocked in ("click", "rich", "torch", "torchvision", "sklearn", "matplotlib", "safetensors"):
    sys.modules[blocked] = None
from ssd_edge import on_device
report = on_device.learn(sys.argv[1], sys.argv[2])
print(report["classes_added"], on_device.evaluate(sys.argv[1], sys.argv[2])["n"])
print([name for name in sys.modules if name.startswith(("ssd_edge.cli", "ssd_edge_export", "ssd_edge_bench"))])
"""


def test_learning_needs_neither_click_nor_torch(edge_file: Path, data_file: Path) -> None:
    command = [sys.executable, "-c", SCRIPT, str(edge_file), str(data_file)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['3'] 100", "[]"]


def test_importing_the_face_imports_no_function() -> None:
    script = (
        "import sys, ssd_edge.on_device\nprint([n for n in sys.modules if n.startswith('ssd_edge.on_device.')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
