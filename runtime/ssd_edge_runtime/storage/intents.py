"""A change that must not be made twice is noted before it is made: asked for again, it is only finished."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file, strict_json
from ssd_edge_runtime.model_file.header import checked_digest
from ssd_edge_runtime.storage.atomic import replace_atomically, sync_folder
from ssd_edge_runtime.storage.journal import OWNER_ONLY
from ssd_edge_runtime.storage.places import beside, place_of


@dataclass(frozen=True)
class Intent:
    """A change of a model file that is about to be made."""

    digest: str
    """Of the file that takes its place: once that is there, the change is made."""
    request: dict[str, Any]
    """What was asked for, as JSON."""
    report: dict[str, Any]
    """What whoever asked is to be told, as JSON."""
    purge: bool = False
    """Whether everything that was there before is to go then."""


def note_path(path: str | os.PathLike[str]) -> Path:
    """``model.onnx.intent`` beside ``model.onnx``; it stays only where a change was cut off."""
    return beside(path, "intent")


def announce(path: str | os.PathLike[str], intent: Intent) -> None:
    """Note a change of the file at ``path`` before it is made; the caller holds the lock. Raises OSError."""
    data = strict_json.dumps(asdict(intent), "an intent")
    replace_atomically(note_path(path), data, mode=OWNER_ONLY, like=place_of(path))


def pending(path: str | os.PathLike[str]) -> Intent | None:
    """The change that was made last, if nobody has heard so; None where it never came to be. Raises OSError."""
    try:
        section = strict_json.Section(strict_json.loads(read_file(note_path(path)), "an intent"), "an intent")
        intent = Intent(
            section.text("digest"), section.take("request"), section.take("report"), section.flag("purge")
        )
        return intent if checked_digest(read_file(place_of(path))) == intent.digest else None
    except (FileNotFoundError, EdgeModelError):  # no note, none of ours, or not the file that it waits for
        return None


def conclude(path: str | os.PathLike[str]) -> None:
    """Drop the note of a change that is on storage. Raises OSError; then it may be asked for again."""
    note = note_path(path)
    if note.exists():
        note.unlink()
        with suppress(OSError):  # should the note come back after a power cut, it will find all of it done
            sync_folder(note.parent)


def give_up(path: str | os.PathLike[str]) -> None:
    """Drop a note that waits for another file than the one that has just taken its place."""
    with suppress(OSError):
        if pending(path) is None:
            conclude(path)
