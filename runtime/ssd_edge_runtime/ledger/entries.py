"""One line of a model's history: what was done, when, and with how many samples of which classes."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

VERBS = ("learn", "forget", "rename", "merge", "rebase", "rollback", "change", "earlier")
"""``change``: of options alone. ``earlier``: the entries before those that are listed one by one."""
TOGETHER = "+"
"""Between the verbs of what was saved as one."""
MAX_ENTRIES = 128
MAX_CLASSES = 16
LONGEST_NAME = 64
"""Of a class that an entry names; samples of classes with longer names count among the others."""
LONGEST_TEXT = 200
HOUR = 3600


@dataclass(frozen=True)
class Remarks:
    """What only who saves a model knows of its change."""

    note: str = ""
    """Where the lessons came from, in the user's words."""
    guard: float | None = None
    """Accuracy on the guard's data."""
    signer: str = ""
    """Fingerprint of the key that is about to sign the file."""
    unnamed: Collection[str] = ()
    """Classes that the history must not name any more."""


@dataclass(frozen=True)
class Entry:
    """What made one generation of a file."""

    verb: str
    """One of VERBS, or several joined by ``+``."""
    generation: int
    """Of the file that it made, on the device where that was."""
    time: int
    """Seconds since 1970 by the clock of that moment, in whole hours: the same learning gives the same bytes."""
    samples: Mapping[str, int] = field(default_factory=dict)
    """Samples learned per class, below zero where they were unlearned; at most MAX_CLASSES, the most first."""
    others: int = 0
    """Samples of other classes."""
    what: str = ""
    """Which classes, files or generations it was about."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """New names of classes by their old ones; at most MAX_CLASSES."""
    note: str = ""
    """What the user said of the source."""
    guard: float | None = None
    """Accuracy on the guard's data, where there was a guard."""
    signer: str = ""
    """Fingerprint of the key that was to sign the file."""
    file: str = ""
    """What brought this entry into a merge; empty for the file's own line."""
    folded: int = 0
    """How many entries an ``earlier`` one stands for."""

    @property
    def total(self) -> int:
        """Samples in all."""
        return sum(self.samples.values()) + self.others

    @property
    def lesson(self) -> tuple[object, ...]:
        """What tells it from other entries, whatever file holds it."""
        samples = tuple(sorted(self.samples.items()))
        told = (self.verb, self.generation, self.time, self.what, self.note, self.signer)
        return (*told, samples, self.others)

    @property
    def teaches(self) -> bool:
        """Whether it brought lessons, and is known one by one."""
        return not self.folded and any(count > 0 for count in (*self.samples.values(), self.others))


def now() -> int:
    """Seconds since 1970 in whole hours; SOURCE_DATE_EPOCH, where it is set, holds the clock."""
    held = os.environ.get("SOURCE_DATE_EPOCH", "")
    seconds = int(held) if held.isdecimal() and len(held) < 12 else int(time.time())
    return max(seconds - seconds % HOUR, 0)


def shortened(samples: Mapping[str, int]) -> tuple[dict[str, int], int]:
    """The classes that an entry names, those of most samples first, and how many samples the others have."""
    ranked = sorted((name for name in samples if samples[name]), key=lambda name: (-abs(samples[name]), name))
    named = [name for name in ranked if len(name) <= LONGEST_NAME][:MAX_CLASSES]
    kept = {name: samples[name] for name in named}
    return kept, sum(samples.values()) - sum(kept.values())


def combined(entries: Sequence[Entry]) -> tuple[dict[str, int], int]:
    """Samples of several entries, as :func:`shortened` gives them."""
    total: dict[str, int] = {}
    for entry in entries:
        for name, count in entry.samples.items():
            total[name] = total.get(name, 0) + count
    kept, others = shortened(total)
    return kept, others + sum(entry.others for entry in entries)


def renames(entries: Iterable[Entry]) -> dict[str, str]:
    """What classes are called after these entries, by their names before, where that has changed."""
    now_called: dict[str, str] = {}
    for entry in entries:
        before = {new: old for old, new in now_called.items()}
        for old, new in entry.renamed.items():
            now_called[before.get(old, old)] = new
    return {old: new for old, new in now_called.items() if old != new}


def continued(before: Entry, after: Entry) -> Entry:
    """One entry for work that was saved on its way, as ``before``, and again."""
    samples, others = combined([before, after])
    verbs = [*before.verb.split(TOGETHER), *after.verb.split(TOGETHER)]
    return replace(
        after,
        verb=TOGETHER.join(dict.fromkeys(verbs)),
        samples=samples,
        others=others,
        renamed=renames([before, after]),
    )


def bounded(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The newest entries; where there are more than MAX_ENTRIES, one stands for all before them."""
    surplus = len(entries) - MAX_ENTRIES
    if surplus <= 0:
        return tuple(entries)
    old, kept = entries[: surplus + 1], entries[surplus + 1 :]
    samples, others = combined(old)
    count = sum(entry.folded or 1 for entry in old)
    first = Entry("earlier", old[-1].generation, old[-1].time, samples, others, folded=count)
    return (first, *kept)


def clipped(text: str) -> str:
    """A text of one line that an entry can hold."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 3]}..."
