"""Models of one origin joined: their lessons by :mod:`~ssd_edge_runtime.analytic.merge`, their past by ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ssd_edge_runtime.analytic.merge import merge_states, rebase_state
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger.ledger import begun
from ssd_edge_runtime.ledger.members import Member, renamed_since, short_names
from ssd_edge_runtime.ledger.members import merged as merged_ledger
from ssd_edge_runtime.ledger.members import rebased as rebased_ledger
from ssd_edge_runtime.state import ModelState


@dataclass(frozen=True, eq=False)
class Part:
    """A model that is to be joined with others."""

    path: Path | None
    """The file that it was loaded from or saved to."""
    digest: str | None
    """Of that file."""
    changed: bool
    """Whether it has changed since."""
    state: ModelState


@dataclass(frozen=True, eq=False)
class Joined:
    """What became of it."""

    state: ModelState
    before: ModelState
    """The state that lessons were added to."""
    verb: str
    what: list[str]
    """Names of the files that were joined."""


def merged(parts: Sequence[Part], base: Part) -> Joined:
    """What each part learned since ``base``, added to that.

    Raises EdgeModelError as :func:`~ssd_edge_runtime.analytic.merge.merge_states` does, and by name where lessons
    would count twice.
    """
    for number, part in enumerate(parts, 1):
        again = any(
            part.changed and part.state.class_samples is other.state.class_samples for other in parts[number:]
        )
        EdgeModelError.unless(not again, f"model {number} is given twice: each is merged once")
    *members, start = _members([*parts, base])
    names = [member.name for member in members]
    ledger = merged_ledger(members, start)
    state = merge_states([part.state for part in parts], base.state, names)
    return Joined(replace(state, ledger=ledger), base.state, "merge", names)


def rebased(mine: Part, old: Part, new: Part) -> Joined:
    """What ``mine`` learned since ``old``, added to ``new``.

    A class that was renamed since, here or there, is the same class; where both did, ``new`` decides its name.
    """
    member, start, onto = _members([mine, old, new])
    ledger = rebased_ledger(member, start, onto)
    here, there = renamed_since(member, start), renamed_since(onto, start)
    final = here | there
    states = (
        _renamed(mine.state, {here.get(name, name): called for name, called in final.items()}),
        _renamed(old.state, final),
        _renamed(new.state, {there.get(name, name): called for name, called in final.items()}),
    )
    state = rebase_state(*states, (member.name, start.name, onto.name))
    what = [f"{member.name} onto {onto.name}"]
    return Joined(replace(state, ledger=ledger), states[2], "rebase", what)


def _renamed(state: ModelState, names: Mapping[str, str]) -> ModelState:
    """The state with classes called by other names, but for names that another of its classes has."""
    own = set(state.classes)
    called = [new if (new := names.get(name, name)) not in own else name for name in state.classes]
    return replace(state, classes=called)


def _members(parts: Sequence[Part]) -> list[Member]:
    names = short_names([part.path for part in parts])
    return [
        Member(
            name, None if part.changed else part.digest, part.digest, part.state.ledger or begun(part.state.parent)
        )
        for name, part in zip(names, parts, strict=True)
    ]
