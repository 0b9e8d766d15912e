"""Faces: every name that they promise is there, and none is imported before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

FACES = ("encoder", "model_file", "storage")


@pytest.mark.parametrize("room", FACES)
def test_every_name_is_there_and_is_found_by_completion(room: str) -> None:
    face = importlib.import_module(f"ssd_edge_runtime.{room}")
    assert all(hasattr(face, name) for name in face.__all__)
    assert set(face.__all__) <= set(dir(face))
    with pytest.raises(AttributeError, match=f"module 'ssd_edge_runtime.{room}' has no attribute 'nothing'"):
        face.nothing  # noqa: B018


def test_a_file_never_hides_a_name_of_its_face() -> None:
    """Importing ``room.name`` sets the attribute ``name`` of the room to the module."""
    for room in FACES:
        face = importlib.import_module(f"ssd_edge_runtime.{room}")
        for name in face.__all__:
            assert importlib.util.find_spec(f"{face.__name__}.{name}") is None, name


def test_importing_a_face_imports_no_file_of_its_room() -> None:
    told = "import sys, ssd_edge_runtime\nbefore = set(sys.modules)\n"
    told += f"for room in {FACES}: __import__('ssd_edge_runtime.' + room)\n"
    told += "print(*sorted(set(sys.modules) - before))"
    found = subprocess.check_output([sys.executable, "-c", told], text=True).split()
    assert set(found) <= {f"ssd_edge_runtime.{room}" for room in FACES}
