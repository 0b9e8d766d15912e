"""A full disk: earlier generations give way to the save, and nothing else does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from saved import file_of

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 200 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_gives_up_generations_before_the_save(make_state: MakeState, small_disk: Path) -> None:
    path = small_disk / "model.onnx"
    state = make_state(hidden=(100,), readout="analytic")
    size = len(file_of(state, 1))
    assert 40_000 < size < 60_000
    for number in range(1, 8):
        storage.save(path, file_of(state, number))
        assert model_file.load(path).generation == number
    assert 2 <= len(storage.history(path)) <= 3


def test_a_disk_full_of_other_things_leaves_the_file_alone(make_state: MakeState, small_disk: Path) -> None:
    path = small_disk / "model.onnx"
    state = make_state(hidden=(100,), readout="analytic")
    storage.save(path, file_of(state, 1))
    storage.save(path, file_of(state, 2))
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    large = model_file.to_bytes(make_state(hidden=(160,), readout="analytic"))
    with pytest.raises(OSError, match="No space left"):
        storage.save(path, large)
    assert [g.number for g in storage.history(path)] == [2, 1]
    filler.unlink()
    storage.save(path, file_of(state, 3))
    assert model_file.load(path).generation == 3
