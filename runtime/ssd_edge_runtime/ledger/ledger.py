"""The ledger of a file: which files it came from, what was merged into it, and what happened to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from ssd_edge_runtime.ledger.entries import Entry, bounded, continued

LETTERS = 16
"""Of a digest, where it only has to be recognised."""
FIRST, LAST = 8, 64
"""Ancestors kept of one stretch: those that whole devices share, and those that two files of one device do."""
MAX_STRETCHES = 32
MAX_MERGED = 256
Stretch = tuple[str, ...]


@dataclass(frozen=True)
class Merged:
    """One file whose lessons were added."""

    name: str
    """What it was called."""
    digest: str
    since: str
    """Digest of the file from which on its lessons were counted."""
    lineage: Stretch = ()
    """Its own ancestors after that, shortened, the oldest first."""


@dataclass(frozen=True)
class Ledger:
    """What a file tells of its past; a file that nothing has happened to has an empty one."""

    lineage: tuple[Stretch, ...] = ()
    """Its ancestors' digests, shortened, the oldest first; each merge and each rebase begins another stretch."""
    merged: tuple[Merged, ...] = ()
    entries: tuple[Entry, ...] = ()
    """The oldest first."""

    def __bool__(self) -> bool:
        return bool(self.lineage or self.merged or self.entries)

    def ancestors(self) -> list[str]:
        """All that it holds the lessons of, shortened: its own line, then what was merged in."""
        own = [digest for stretch in self.lineage for digest in stretch]
        return own + [digest for part in self.merged for digest in (*part.lineage, part.digest[:LETTERS])]

    def lessons(self) -> dict[tuple[object, ...], Entry]:
        """Its entries by what tells one from another."""
        return {entry.lesson: entry for entry in self.entries}

    def after(self, parent: str | None, entries: Sequence[Entry], joined: bool, again: bool) -> Ledger:
        """The ledger of what comes after the file with the digest ``parent``, by ``entries``.

        ``joined``: lessons of other files were added. ``again``: the parent was a checkpoint of this same work.
        """
        lineage = self.lineage or ((),)
        if parent is not None:
            lineage = (*lineage[:-1], thinned((*lineage[-1], parent[:LETTERS])))
        if joined:
            lineage = (*lineage, ())
        told = list(self.entries)
        if again and told and entries:
            told[-1:] = [continued(told[-1], entries[0])]
            entries = entries[1:]
        return Ledger(bounded_stretches(lineage), self.merged[-MAX_MERGED:], bounded([*told, *entries]))

    def without(self, names: Collection[str]) -> Ledger:
        """The same, naming none of these classes any more, under whatever name they were known."""
        gone = set(names)
        for entry in reversed(self.entries):
            gone |= {old for old, new in entry.renamed.items() if new in gone}
        return replace(self, entries=tuple(_without(entry, gone) for entry in self.entries))


def begun(parent: str | None) -> Ledger:
    """The ledger of a file that has none, by the ``parent`` that it names: files of earlier versions do."""
    return Ledger(((parent[:LETTERS],),)) if parent is not None else Ledger()


def thinned(stretch: Stretch) -> Stretch:
    """The first ancestors of a stretch and the last ones."""
    return stretch if len(stretch) <= FIRST + LAST else (*stretch[:FIRST], *stretch[-LAST:])


def bounded_stretches(lineage: Sequence[Stretch]) -> tuple[Stretch, ...]:
    """Of earlier stretches only their two ends, and the first stretch and the last ones at all."""
    ends = [s if len(s) <= 2 * FIRST else (*s[:FIRST], *s[-FIRST:]) for s in lineage[:-1]]
    kept = [*ends, thinned(lineage[-1])]
    return tuple(kept if len(kept) <= MAX_STRETCHES else [kept[0], *kept[1 - MAX_STRETCHES :]])


def unique(parts: Iterable[Merged]) -> tuple[Merged, ...]:
    """Each file once."""
    return tuple({part.digest: part for part in parts}.values())


def _without(entry: Entry, names: Collection[str]) -> Entry:
    gone = sum(count for name, count in entry.samples.items() if name in names)
    samples = {name: count for name, count in entry.samples.items() if name not in names}
    what = "" if any(name in entry.what for name in names) else entry.what
    renamed = {old: new for old, new in entry.renamed.items() if old not in names and new not in names}
    return replace(entry, samples=samples, others=entry.others + gone, what=what, renamed=renamed)
