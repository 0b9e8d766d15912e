"""Data files and journals, altered anywhere: read, or refused in one line, in two seconds and 500 MB."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from bounds import at_most
from PIL import Image

from ssd_edge.data import load_arrays
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.errors import SSDEdgeError
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path

SECONDS, MEGABYTES = 2.0, 500
KINDS = ("npz", "png", "csv", "journal")


def seed(kind: str, folder: Path) -> Path:
    path = folder / f"data.{kind}"
    if kind == "npz":
        np.savez_compressed(path, x=np.arange(60, dtype=np.float32).reshape(5, 12), y=np.arange(5))
    elif kind == "png":
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(path)
    elif kind == "csv":
        path.write_text("a;b;label\n" + "".join(f"{i},5;{-i};c{i % 3}\n" for i in range(30)))
    else:
        path = journal_path(folder / "m.onnx")
        head = records.encode({"kind": "begin", "plan": {"data": "x"}, "parent": "0" * 64}, {})
        Journal.create(
            path, head, records.encode({"progress": {"samples": 3}}, {"x": np.arange(9, dtype=np.uint8)})
        )
    return path


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    a, b = sorted(rng.integers(0, len(data), 2).tolist())
    choice = rng.integers(4)
    if choice == 0:
        return data[:a] + data[b:]
    if choice == 1:
        return data[:b] + data[a:]
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        out[rng.integers(len(out))] = rng.choice([0, 1, 10, 34, 44, 59, 127, 128, 255])
    return bytes(out)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("rounds", "number"),
    [
        (40, 7),
        pytest.param(250, 8, marks=pytest.mark.slow),
        pytest.param(2500, 9, marks=pytest.mark.slow),
    ],
    ids=["short", "tenth", "long"],
)
def test_no_mutation_does_more_than_be_refused(kind: str, rounds: int, number: int, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(number), seed(kind, tmp_path)
    whole = path.read_bytes()
    for number in range(rounds):
        path.write_bytes(mutate(whole, rng))
        begun = time.process_time()
        try:
            with warnings.catch_warnings(action="ignore"), at_most(MEGABYTES):
                found = find(tmp_path / "m.onnx") if kind == "journal" else load_arrays(path)
            assert found is not None
        except SSDEdgeError as error:
            assert "\n" not in str(error), (number, error)
        assert time.process_time() - begun < SECONDS, number


def test_the_bound_on_memory_holds() -> None:
    with pytest.raises(MemoryError), at_most(MEGABYTES):
        np.ones(MEGABYTES << 18, np.float64)
    assert len(np.ones(MEGABYTES << 16, np.float64))
