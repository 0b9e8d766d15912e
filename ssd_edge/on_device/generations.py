"""Earlier generations of a model file: listed, gone back to, and deleted."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.transaction import refuse_unfinished
from ssd_edge_runtime import storage
from ssd_edge_runtime.ledger import Entry
from ssd_edge_runtime.storage import Generation


def history(model: str | Path) -> dict[str, Any]:
    """The file ``model`` and its earlier generations: ``file``, and ``generations``, the newest first.

    ``rolled_back_from`` is the newest one's number where the file is an earlier one again, else null.

    Each has ``generation`` (its number), ``current``, ``time`` in UTC by the clock of the moment it was written
    (null where that is no date), ``samples``, ``classes``, ``file_bytes``, ``digest``, ``parent`` (the digest of
    what it was learned from), ``previous`` (of the one whose place it took, to which :func:`rollback` goes),
    ``problem``, null unless it is damaged, and ``entry``, what made it, null where the file does not say.

    ``entries`` tells all that happened to the file, the newest first, also on devices that were merged into it:
    ``verb`` (learn, forget, rename, merge, rebase, rollback, change; several are joined by +; earlier: a sum of
    older ones), ``generation``, ``time`` (to the hour), ``file`` (that was merged in, else empty), ``samples``
    (learned per class, below zero where unlearned), ``others`` (samples of classes that are not named),
    ``renamed``, ``what``, ``note``, ``guard`` (accuracy, or null) and ``signer`` (the first digits of the sha256
    of the public key, or empty). Raises OSError.

    >>> [row["samples"] for row in history("model.onnx")["generations"]]  # doctest: +SKIP
    [80, 0]
    """
    found = storage.history(model)
    current = next(generation for generation in found if generation.current)
    newest = max(generation.number for generation in found)
    return {
        "file": str(model),
        "rolled_back_from": newest if newest > current.number else None,
        "generations": [describe(generation) for generation in found],
        "entries": [describe_entry(entry) for entry in reversed(current.ledger.entries)],
    }


def rollback(
    model: str | Path, to: int | str | None = None, *, lock_timeout: float = 10.0, keys: Keys = Keys()
) -> dict[str, Any]:
    """Make an earlier generation current; what was current is kept, so that one can return to it.

    ``to``: its number, or the first digits of its digest, four at least; None for the one whose place the current
    one took, never one that was rejected since. ``lock_timeout``: seconds to wait for another process that is
    writing the file. Returns the generation as :func:`history` describes it. Raises EdgeModelError where there is
    no such generation, it is damaged, more than one could be meant, or no trusted one of ``keys`` has signed it,
    OSError.

    >>> rollback("model.onnx")["samples"]  # doctest: +SKIP
    0
    """
    return describe(storage.rollback(model, to, lock_timeout=lock_timeout, trusted=keys.trusted))


def purge(model: str | Path, *, lock_timeout: float = 10.0) -> dict[str, Any]:
    """Delete the earlier generations of the file ``model``, and the journal of learning that is over.

    Called again after any failure it deletes what is left, if anything. ``lock_timeout``: seconds to wait for
    another process that is writing the file. Returns ``file`` and ``purged``, how many went. Raises OptionError
    while learning that was cut off could still go on, EdgeModelError where the file itself is damaged, OSError.

    >>> purge("model.onnx")["purged"]  # doctest: +SKIP
    3
    """
    target = Path(model)
    if not target.exists():
        raise FileNotFoundError(2, "No such file", str(target))
    with storage.locked(target, lock_timeout):
        refuse_unfinished(target, None, purging=True)
        return {"file": str(target), "purged": storage.purge(target)}


def describe(generation: Generation) -> dict[str, Any]:
    """A generation as JSON."""
    return {
        "generation": generation.number,
        "current": generation.current,
        "time": _utc(generation.time),
        "samples": generation.samples,
        "classes": generation.classes,
        "file_bytes": generation.file_bytes,
        "digest": generation.digest,
        "parent": generation.parent,
        "previous": generation.previous,
        "problem": generation.problem,
        "entry": describe_entry(generation.ledger.entries[-1]) if generation.ledger.entries else None,
    }


def describe_entry(entry: Entry) -> dict[str, Any]:
    """An entry of a ledger as JSON."""
    ranked = sorted(entry.samples.items(), key=lambda item: (-abs(item[1]), item[0]))
    told = {**dataclasses.asdict(entry), "time": _utc(entry.time), "samples": dict(ranked)}
    del told["folded"]
    return told


def _utc(time: float) -> str | None:
    """None where a file's time is no date, as a clock that is off, or a hostile archive, may leave it."""
    try:
        return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None
