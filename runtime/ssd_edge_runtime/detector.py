"""Find task boundaries in a stream whose classes stay but change their look: a significant rise of the loss.

A conformal test: while the losses of a stream are exchangeable, the rank of each among those before it is uniform,
whatever their distribution (Vovk et al., "Testing randomness online", 2021). Bets that high ranks come too often
are summed by Shiryaev and Roberts' rule, which bounds false alarms without assuming anything else.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable

import numpy as np

from ssd_edge_runtime.errors import OptionError

POWERS = (0.25, 0.5, 0.75)
KEPT = 20_000
"""Losses ranked against; later ones are compared with these but no longer kept."""


class LossDetector:
    """Says when the losses of a stream have risen for good.

    On a stream that does not change, alarms come once in ``samples_per_false_alarm`` samples on average, or less
    often: falling losses, as of a model that learns, make them rarer still. After an alarm it starts afresh.

    >>> detector = LossDetector(samples_per_false_alarm=1000)
    >>> rng = np.random.default_rng(0)
    >>> detector.update(rng.random(200)), detector.update(rng.random(200) + 0.8)
    (False, True)
    """

    def __init__(self, samples_per_false_alarm: float = 10_000.0, seed: int = 0) -> None:
        """``seed``: ranks of equal losses are drawn."""
        OptionError.unless(
            samples_per_false_alarm > 1.0,
            f"samples-per-false-alarm must be more than 1, got {samples_per_false_alarm}",
        )
        self._threshold = samples_per_false_alarm
        self._rng = np.random.default_rng(seed)
        self.reset()

    def reset(self) -> None:
        """Forget the stream so far."""
        self._sorted: list[float] = []
        self._evidence = 0.0

    def update(self, losses: Iterable[float]) -> bool:
        """Take the losses of the next samples, before the model learns them; True if the stream has changed."""
        alarm = False
        for loss in losses:
            self._evidence = (1.0 + self._evidence) * _bet(self._rank_from_above(float(loss)))
            if self._evidence >= self._threshold:
                alarm = True
                self.reset()
        return alarm

    def _rank_from_above(self, loss: float) -> float:
        """A p-value, uniform in (0, 1) while nothing changes; small for a loss above most others."""
        low, high = bisect_left(self._sorted, loss), bisect_right(self._sorted, loss)
        above, equal = len(self._sorted) - high, high - low + 1
        rank = (above + (1.0 - self._rng.random()) * equal) / (len(self._sorted) + 1)
        if len(self._sorted) < KEPT:
            insort(self._sorted, loss)
        return rank


def _bet(p: float) -> float:
    """Mean of power bets ``e p^(e - 1)``, each of expectation 1 under a uniform ``p``."""
    return math.fsum(e * p ** (e - 1.0) for e in POWERS) / len(POWERS)
