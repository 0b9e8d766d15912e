"""Between a model and its file: what was loaded from where, and what it is saved as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.decode import decode
from ssd_edge_runtime.model_file.encode import encode
from ssd_edge_runtime.model_file.header import read_header, read_place, stored_digest
from ssd_edge_runtime.options import MAX_COUNT
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import place_of
from ssd_edge_runtime.storage.store import save
from ssd_edge_runtime.storage.tree import next_generation
from ssd_edge_runtime.storage.trust import Trust


@dataclass(frozen=True)
class Source:
    """The file that a model was loaded from, or last saved to."""

    path: Path
    digest: str


def load_state(
    path: str | PathLike[str],
    *,
    verify: bool = True,
    trusted: Sequence[str | PathLike[str]] = (),
    allow_older: bool = False,
    confine: bool = True,
) -> tuple[ModelState, Source]:
    """The model in a file, and which file that was.

    :param verify: check the digest.
    :param trusted: files of public keys, beside those that the environment variable SSD_EDGE_TRUSTED_KEYS names;
        where there are any, one of them must have signed the file, and it must be no older generation of what was
        accepted at ``path`` before, unless ``allow_older``.
    :param confine: run an encoder that no trusted key has signed in a process of its own, with limits.
    :raises EdgeModelError: naming the file. :raises OSError: if it cannot be read.
    """
    trust = Trust.here(trusted, allow_older=allow_older)
    data = read_file(path)
    try:
        trust.check_signature(path, data)
        header = read_header(data, verify=verify)
        state = decode(header, confined=confine and not trust.keys)
        trust.check_age(path, state)
        return state, Source(place_of(path), header.digest)
    except EdgeModelError as error:
        raise EdgeModelError(f"{path}: {error}") from None


def save_state(
    state: ModelState,
    path: str | PathLike[str],
    source: Source | None,
    *,
    entered: Callable[[ModelState], ModelState] | None,
    keep: int,
    keep_replaced: bool,
    announce: Callable[[str], None],
) -> tuple[ModelState, Source]:
    """Write a model that came from ``source``, atomically; options as of :func:`save` and ``EdgeModel.save``.

    Where it has changed since, it becomes the next generation of the file at ``path``, and ``entered`` adds to its
    ledger; None where it has not. Returns the state as it was saved.

    :raises EdgeModelError: if ``path`` is that of ``source`` and the file there is another one by now.
    :raises OSError: if the storage fails.
    """
    place = place_of(path)
    with locked(place):
        if entered is not None:
            state = entered(_successor(state, place, source, keep_replaced))
        data = encode(state)
        announce(stored_digest(data))
        expected = source.digest if source and source.path == place else None
        digest = save(place, data, expected_digest=expected, keep=keep, keep_replaced=keep_replaced)
    return state, Source(place, digest)


def _successor(state: ModelState, place: Path, source: Source | None, keep_replaced: bool) -> ModelState:
    """``state`` as what comes after its source, and after what stands where it will be saved."""
    number = max(min(state.generation + 1, MAX_COUNT), next_generation(place))
    if not keep_replaced:  # nobody goes back to a checkpoint on the way to it
        return replace(state, generation=number)
    parent, there = source.digest if source else state.parent, None
    if place.exists():
        with suppress(EdgeModelError):
            there = read_place(read_file(place)).digest
    return replace(state, generation=number, parent=parent, replaced=there if there != parent else None)
