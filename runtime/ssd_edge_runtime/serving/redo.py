"""Changes of large arrays in place that can be broken off anywhere and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ssd_edge_runtime.arrays import Write

Step = Callable[[], Write]


class Changes:
    """Writes in order, each made from what the ones before it left.

    What is to be written is noted before it is written, and that it was written is noted afterwards, by one
    assignment each: an error or an interrupt in :meth:`finish` leaves nothing but a write to do again.
    """

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self._left: tuple[Sequence[Step], int, Write | None] = steps, 0, None
        """All steps, how many of them are done, and what the next one writes where that is made."""

    def finish(self) -> None:
        """Do what is left."""
        while True:
            steps, done, write = self._left
            if done == len(steps):
                break
            if write is None:
                write = steps[done]()
                self._left = steps, done, write
            write.do()
            self._left = steps, done + 1, None
        self._left = (), 0, None
