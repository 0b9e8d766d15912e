"""Model files in several generations, told apart by their number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.state import ModelState


def file_of(state: ModelState, number: int) -> bytes:
    """The file of generation ``number``, which has seen as many samples."""
    return model_file.to_bytes(replace(state, samples_seen=number, generation=number))


def save_several(path: Path, state: ModelState, count: int, keep: int = 3) -> list[str]:
    """Save generations 1 to ``count``, each grown from the one before; returns their digests."""
    digests: list[str] = []
    for number in range(1, count + 1):
        expected = digests[-1] if digests else None
        digests.append(storage.save(path, file_of(state, number), expected_digest=expected, keep=keep))
    return digests


def numbers(path: Path) -> list[int]:
    """Those of all generations, the newest first."""
    return [generation.number for generation in storage.history(path)]


def current(path: Path) -> int:
    """That of the file itself."""
    return model_file.load(path).generation
