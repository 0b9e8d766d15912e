"""The files of a run folder, and what can be told of one without torch."""

from __future__ import annotations

from pathlib import Path

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.storage.folders import bring_back

CONFIG, MODEL, METRICS, PICTURE = "config.toml", "model.safetensors", "metrics.json", "accuracy_matrix.png"
CHECKPOINT = "checkpoint.safetensors"


def check_new(folder: Path, force: bool) -> None:
    """Raise DataError unless a new run may be written to ``folder``; with ``force``, in place of another run."""
    if folder.exists() and not force:
        raise DataError(f"{folder}: exists already; go on with --resume or replace it with --force")
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir()):
        raise DataError(f"{folder}: not a run folder, and not empty: it is not replaced")


def check_begun(folder: Path) -> None:
    """Raise DataError unless ``folder`` holds a run to go on with."""
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: no run to resume")


def check_trained(folder: Path) -> None:
    """Raise DataError unless ``folder`` holds a finished run."""
    bring_back(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such run folder")
    if not (folder / MODEL).is_file():
        unfinished = (folder / CHECKPOINT).is_file() or (folder / CONFIG).is_file()
        hint = "not finished: go on with ssd-edge train --resume" if unfinished else "not a run folder"
        raise DataError(f"{folder}: {hint}")
