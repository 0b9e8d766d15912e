"""What ``import ssd_edge`` shows, and what it costs."""

import importlib
import subprocess
import sys

import pytest

import ssd_edge
from ssd_edge_runtime import __version__

SHOWN = {
    *("train", "compare", "resume", "load_data", "export_model", "prune", "sweep", "verify", "train_encoder"),
    *("Run", "TrainConfig", "on_device", "__version__"),
}


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_face_shows_the_whole_job() -> None:
    assert set(dir(ssd_edge)) == set(ssd_edge.__all__) == SHOWN
    assert ssd_edge.__version__ == __version__


@pytest.mark.parametrize("name", sorted(SHOWN - {"__version__", "on_device"}))
def test_every_name_is_what_its_room_calls_so(name: str) -> None:
    found = getattr(ssd_edge, name)
    assert found is getattr(importlib.import_module(ssd_edge._HOMES[name]), name)
    assert callable(found) and found.__doc__


def test_on_device_is_a_module() -> None:
    assert ssd_edge.on_device is importlib.import_module("ssd_edge.on_device")


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(AttributeError, match="module 'ssd_edge' has no attribute 'trian'"):
        ssd_edge.trian  # noqa: B018


def test_importing_and_looking_imports_no_library() -> None:
    libraries = ("numpy", "scipy", "torch", "onnx", "click", "ssd_edge_export", "ssd_edge.training")
    script = f"import sys, ssd_edge; dir(ssd_edge); print([m for m in {libraries} if m in sys.modules])"
    assert run(script) == "[]"


def test_names_for_devices_work_without_torch() -> None:
    blocked = "import sys; sys.modules['torch'] = None\nimport ssd_edge\n"
    shown = "print(callable(ssd_edge.load_data), ssd_edge.on_device.__name__, callable(ssd_edge.verify))"
    assert run(blocked + shown) == "True ssd_edge.on_device True"
    told = "try:\n    ssd_edge.train\nexcept Exception as error:\n    print(type(error).__name__, error)"
    line = "MissingExtraError ssd_edge.train needs the [train] extra: pip install 'ssd-edge[train]'"
    assert run(blocked + told) == line
