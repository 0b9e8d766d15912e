"""Versions as the installers wrote them, without an import."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest

from ssd_edge_bench.machine.versions import LIBRARIES, versions
from ssd_edge_runtime import __version__


def installed(library: str) -> str | None:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return None


def test_the_same_as_the_packages_themselves_say() -> None:
    own = {"ssd-edge": __version__, "python": platform.python_version()}
    assert versions() == own | {library: installed(library) for library in LIBRARIES}


def test_names_that_installers_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for name in ("torch-2.9.0+cpu.dist-info", "numpy-1.24.2-py3.11.egg-info", "onnx_tool-9.dist-info"):
        (first / name).mkdir(parents=True)
    for name in ("NumPy-2.0.0rc1.dist-info", "onnxruntime-1.18.0.dist-info", "scipy", "torchvision-0.1.dist-info"):
        (second / name).mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(first), str(tmp_path / "absent.zip"), str(second)])
    found = versions()
    assert [found[library] for library in LIBRARIES] == ["1.24.2", None, None, "1.18.0", "2.9.0+cpu"]
