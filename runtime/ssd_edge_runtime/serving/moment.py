"""What an analytic learner has learned, as of one moment."""

from __future__ import annotations

import dataclasses

from ssd_edge_runtime import analytic
from ssd_edge_runtime.analytic.lessons import Lesson
from ssd_edge_runtime.serving.redo import Changes
from ssd_edge_runtime.state import ModelState


@dataclasses.dataclass(frozen=True, eq=False)
class Remembered:
    """Lessons that are not known to be in a journal: the first ``count`` of a list."""

    lessons: list[Lesson] = dataclasses.field(default_factory=list)
    count: int = 0
    given: int = 0
    """How many of these are in the record that was given last."""
    place: int = -1
    """Where in the journal that was to stand."""

    def and_(self, lesson: Lesson) -> Remembered:
        """One more."""
        self.lessons[self.count :] = [lesson]
        return dataclasses.replace(self, count=self.count + 1)

    def owed(self, place: int) -> Remembered:
        """What the record at ``place`` is to hold; the one given last is in a journal that has come further."""
        first = self.given if place > self.place else 0
        lessons = self.lessons[first : self.count]
        return Remembered(lessons, len(lessons), len(lessons), place)


@dataclasses.dataclass(frozen=True, eq=False)
class Moment:
    """All that an analytic learner has learned; replaced by one assignment, never changed."""

    state: ModelState
    """The live state; its readout may be older than its statistics."""
    version: int = 0
    """Counts the changes."""
    pending: float = 0.0
    """Samples learned since a solution, if none was published since; infinity after another change."""
    own: bool = False
    """Whether the arrays may be written into: nobody else was handed them."""
    owed: Changes = dataclasses.field(default_factory=Changes)
    """What of the change that led here is still to be written into the arrays."""
    remembered: Remembered | None = None
    """What was learned since a checkpoint; None where nobody makes any."""


@dataclasses.dataclass(eq=False)
class Unsolved:
    """What a solution is made from, as of one moment."""

    moment: Moment
    system: analytic.System
