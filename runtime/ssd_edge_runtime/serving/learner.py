"""What a readout's learner does for the model that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.gradient.dampening import DampeningOptions, DampeningReport

Record = tuple[dict[str, Any], dict[str, NDArray[Any]]]
"""Fields and arrays of a checkpoint, for :func:`ssd_edge_runtime.storage.records.encode`."""

Admit = Callable[[Sequence[str], int], None]
"""Raises EdgeModelError where a file could not hold so many samples more of these classes."""


class Learner(Protocol):
    """Changes a model and publishes the result; the caller holds ``learning`` unless a method says otherwise.

    Arguments are checked already. What a readout cannot do raises :class:`EdgeModelError` that names what can, and
    changes nothing.
    """

    @property
    def pending(self) -> float:
        """Samples learned since the published readout was brought up to date; needs no lock."""

    @property
    def state(self) -> ModelState:
        """All that was learned, teacher and a readout not solved yet aside; needs no lock.

        Its arrays may be about to change: :meth:`settled` is for reading them.
        """

    def settled(self) -> ModelState:
        """The same, with all changes of its arrays made."""

    def learn(self, x: Float32, names: list[str]) -> None:
        """Learn samples float32 (N, d) with their class names in one pass; names never seen open classes."""

    def unlearn(self, x: Float32, names: list[str]) -> None:
        """Take samples out again, as if they had never been learned."""

    def forget(self, name: str) -> None:
        """Remove a class."""

    def dampen(
        self, name: str, samples: Float32, retained: Float32, names: list[str], options: DampeningOptions
    ) -> DampeningReport:
        """Remove a class and dampen what served it; ``retained`` samples, and ``names``, of others."""

    def boundary(self) -> bool:
        """Open a task boundary; false for a readout that knows none."""

    def solve_with(self, options: AnalyticOptions) -> None:
        """Solve the readout by other options from now on."""

    def withheld(self) -> dict[str, int]:
        """Classes that are not answered yet, and how many samples each has."""

    def refresh(self, learning: threading.RLock) -> None:
        """Bring the published readout up to date for a prediction, which does not hold ``learning``."""

    def whole(self) -> ModelState:
        """The state with its teacher and with its readout up to date."""

    def lend(self) -> ModelState:
        """The whole state, for the caller to keep: its arrays are never written again."""

    def replace(self, **changes: Any) -> None:
        """Change plain fields of the state."""

    def record(self, place: int | None) -> Record:
        """What was learned since the last record; the first one begins to remember it.

        With ``place``, the number of records that a journal holds: since the last one that is in it.
        """

    def replay(self, fields: dict[str, Any], arrays: dict[str, NDArray[Any]], admit: Admit) -> list[str]:
        """Learn again what a record holds, to the same bits, but for lessons that ``admit`` refuses: named."""
