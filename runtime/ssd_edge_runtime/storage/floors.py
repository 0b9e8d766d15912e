"""The newest generation that was accepted here, so that nobody passes an old signed file off as the new one."""

from __future__ import annotations

import hashlib
import re
from os import PathLike
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.files import read_at_most
from ssd_edge_runtime.model_file import strict_json
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage.atomic import replace_atomically
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import beside, place_of

MOST = 100
"""Lineages that are remembered."""
LARGEST = 1 << 16
LINE = re.compile("[0-9a-f]{64} [0-9]{1,19}")


def floor_path(path: str | PathLike[str]) -> Path:
    """``model.onnx.floor`` beside ``model.onnx``: one line ``LINEAGE GENERATION`` for each lineage."""
    return beside(path, "floor")


def lineage(state: ModelState) -> str:
    """What a model has in common with all that is learned from it on devices, 64 hexadecimal digits.

    How it was trained, but for the versions of the programs; what it takes; its layers; its encoder.
    """
    document = {
        "provenance": {name: value for name, value in state.provenance.items() if name != "versions"},
        "input_shape": list(state.input_shape),
        "layers": [[layer.name, *layer.weights.shape, layer.k] for layer in state.layers],
        "readout": state.readout.kind,
        "encoder": None if state.encoder is None else state.encoder.digest,
    }
    return hashlib.sha256(strict_json.dumps(document, "the lineage")).hexdigest()


def check(path: str | PathLike[str], state: ModelState) -> None:
    """Refuse ``state``, read from ``path``, where a later generation of it was accepted there before."""
    floor = _read(path).get(lineage(state), 0)
    EdgeModelError.unless(
        state.generation >= floor,
        f"generation {state.generation} is older than generation {floor}, which was accepted here before: "
        "--allow-older takes it all the same",
    )


def remember(path: str | PathLike[str], state: ModelState, *, lower: bool = False) -> None:
    """From now on accept at ``path`` nothing older than ``state``; ``lower``: also where the floor was above it.

    Raises OSError where the folder cannot be written.
    """
    name = lineage(state)
    if not _changes(_read(path, damaged_too=lower), name, state.generation, lower):
        return
    # Readers, who hold no lock of the model, may come to raise it at the same time.
    with locked(floor_path(path)):
        known = _read(path, damaged_too=lower)
        if _changes(known, name, state.generation, lower):
            known.pop(name, None)
            lines = [*list(known.items())[1 - MOST :], (name, state.generation)]
            text = "".join(f"{each} {generation}\n" for each, generation in lines)
            replace_atomically(floor_path(path), text.encode(), like=place_of(path))


def _changes(known: dict[str, int], name: str, generation: int, lower: bool) -> bool:
    floor = known.get(name, 0)
    return floor != generation if lower else floor < generation


def _read(path: str | PathLike[str], *, damaged_too: bool = False) -> dict[str, int]:
    file = floor_path(path)
    if not file.exists():
        return {}
    lines = read_at_most(file, LARGEST, EdgeModelError).decode("ascii", "replace").splitlines()
    if not all(map(LINE.fullmatch, lines)):
        EdgeModelError.unless(damaged_too, f"{file} is damaged: --allow-older begins it anew")
        return {}
    return {line[:64]: int(line[65:]) for line in lines}
