"""Which file grew from which: the generations of a model as a tree, and back along it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import read_place
from ssd_edge_runtime.options import MAX_COUNT
from ssd_edge_runtime.storage import generations, intents, leftovers, purging
from ssd_edge_runtime.storage.atomic import FULL, bring_back, sync_folder
from ssd_edge_runtime.storage.generations import Generation, examine, stored_files
from ssd_edge_runtime.storage.intents import Intent
from ssd_edge_runtime.storage.locking import locked
from ssd_edge_runtime.storage.places import place_of
from ssd_edge_runtime.storage.trust import Trust

NUMBER = re.compile("[0-9]{1,19}")
PREFIX = re.compile("[0-9a-f]{4,64}")
"""As many digits of a digest as name a generation."""


def history(path: str | os.PathLike[str]) -> list[Generation]:
    """The file and its earlier generations, the newest number first; damaged ones say so in ``problem``.

    :raises EdgeModelError: if the file is not sound and there are no earlier generations.
    :raises OSError: if the file cannot be read.
    """
    place = place_of(path)
    current = examine(place, True, 0)
    earlier = [examine(entry, False, number) for number, entry in stored_files(place)]
    if current.problem and not earlier:
        raise EdgeModelError(f"{path}: {current.problem}")
    others = [generation for generation in earlier if generation.digest != current.digest]
    return sorted([current, *others], key=lambda generation: (-generation.number, not generation.current))


def next_generation(path: str | os.PathLike[str]) -> int:
    """A number above every generation of the file at ``path``, rolled back ones included; 1 for a new file.

    Where one bears the highest that a file can have, that again: digests tell the two apart.
    """
    place = place_of(path)
    highest = _number(place) if place.exists() else 0
    for number, entry in reversed(stored_files(place)):
        if number <= highest:
            break
        if _number(entry) == number:  # and not a name that anybody could give a file
            return min(number + 1, MAX_COUNT)
    return min(highest + 1, MAX_COUNT)


def _number(path: Path) -> int:
    """The generation of a sound file; 0 of another. Raises EdgeModelError for a pipe or a device."""
    data = read_file(path)
    try:
        return read_place(data).generation
    except EdgeModelError:
        return 0


def rollback(
    path: str | os.PathLike[str],
    to: int | str | None = None,
    *,
    lock_timeout: float = 10.0,
    trusted: Sequence[str | os.PathLike[str]] = (),
) -> Generation:
    """Make an earlier generation current, atomically; what was current becomes a generation, to return to.

    :param to: number of the generation, or the first digits of its digest, four at least; None for the one that
        stood here before the current one, whatever has been tried and rejected since.
    :param trusted: files of public keys, beside those that SSD_EDGE_TRUSTED_KEYS names; where there are any, one
        of them must have signed the generation.
    :raises EdgeModelError: if there is no such generation, it is damaged or not signed, or more than one could be
        meant.
    :raises OSError: if the storage fails.
    """
    place, trust = place_of(path), Trust.here(trusted)
    with locked(place, lock_timeout):
        leftovers.remove_beside(place)
        request = {"rollback": None if to is None else str(to)}
        begun = intents.pending(place)
        if begun is not None and begun.request == request:
            sync_folder(place.parent)
        else:
            purging.finish(place)
            target = _target(place, to)
            _admit(trust, place, target)
            _go_back(place, target, request)
        current = examine(place, True, 0)
        intents.conclude(place)
    return current


def _go_back(place: Path, target: Generation, request: dict[str, Any]) -> None:
    generations.keep(place, read_file(place))
    try:
        intents.announce(place, Intent(target.digest, request, {}))
    except OSError as error:
        if error.errno not in FULL:  # going back needs no room
            raise
    bring_back(place, target.path)


def _target(place: Path, to: int | str | None) -> Generation:
    known = history(place)
    target = _before(known) if to is None else _named(known, str(to).lower())
    if target is None:
        wanted = "an earlier generation" if to is None else f"generation {to}"
        raise EdgeModelError(f"{place} cannot go back to {wanted}: there are {_numbers(known)}")
    if target.problem:
        raise EdgeModelError(f"generation {target.number} of {place} is damaged: {target.problem}")
    return target


def _admit(trust: Trust, place: Path, target: Generation) -> None:
    try:
        trust.go_back(place, read_file(target.path))
    except EdgeModelError as error:
        raise EdgeModelError(f"generation {target.number} of {place}: {error}") from None


def _before(known: list[Generation]) -> Generation | None:
    """What stood in the place of the current one, past damaged ones; where that is not kept, the newest below."""
    at = next(generation for generation in known if generation.current)
    earlier = [generation for generation in known if not generation.current]
    sound = [generation for generation in earlier if not generation.problem]
    if at.problem:
        return next(iter(sound), None)
    seen: list[Generation] = []
    while at not in seen:
        seen.append(at)
        before = next((g for g in earlier if at.previous is not None and g.has(at.previous)), None)
        if before is None:
            break
        if not before.problem:
            return before
        at = before
    return next((generation for generation in sound if generation.number < at.number), None)


def _named(known: list[Generation], name: str) -> Generation | None:
    """The earlier generation of that number, else with those first digits of its digest."""
    earlier = [generation for generation in known if not generation.current]
    found = [generation for generation in earlier if NUMBER.fullmatch(name) and generation.number == int(name)]
    if not found and PREFIX.fullmatch(name):
        found = [generation for generation in earlier if generation.has(name)]
    if len(found) > 1:
        digests = ", ".join(generation.letters for generation in found)
        raise EdgeModelError(f"{len(found)} generations could be meant by {name}; their digests: {digests}")
    return next(iter(found), None)


def _numbers(known: list[Generation]) -> str:
    return ", ".join(str(generation.number) for generation in known if not generation.current) or "none"
