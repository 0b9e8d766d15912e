"""Data files and journals, altered anywhere: read, or refused in one line, within two seconds."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd_edge.data import load_arrays
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.errors import SSDEdgeError
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path

SECONDS = 2.0
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
@pytest.mark.parametrize("rounds", [40, pytest.param(2000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_no_mutation_does_more_than_be_refused(kind: str, rounds: int, tmp_path: Path) -> None:
    rng, path = np.random.default_rng(7), seed(kind, tmp_path)
    whole = path.read_bytes()
    for number in range(rounds):
        path.write_bytes(mutate(whole, rng))
        begun = time.process_time()
        try:
            with warnings.catch_warnings(action="ignore"):
                found = find(tmp_path / "m.onnx") if kind == "journal" else load_arrays(path)
            assert found is not None
        except SSDEdgeError as error:
            assert "\n" not in str(error), (number, error)
        assert time.process_time() - begun < SECONDS, number
