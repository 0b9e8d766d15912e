"""How often ``LossDetector`` is wrong on a stream that does not change, and how fast it finds one that does.

``python docs/lab/scripts/detector.py`` prints the table of device-learning.md, in about a minute on one core.
"""

from __future__ import annotations

import statistics

import numpy as np

from ssd_edge_runtime import LossDetector

SHAPE = 0.5
"""Of the gamma distribution that losses are drawn from."""
WARM_UP = 1000
"""Samples before a change."""
LONGEST = 5000
"""Samples after it, at most."""


def samples_per_false_alarm(setting: float, samples: int) -> float:
    """Samples of an unchanging stream for each alarm."""
    detector = LossDetector(setting)
    losses = np.random.default_rng(0).gamma(SHAPE, 1.0, samples)
    return samples / max(sum(detector.update([loss]) for loss in losses), 1)


def delay(setting: float, factor: float, repeats: int) -> float:
    """Median number of samples after which losses that are ``factor`` times as large are found."""
    found = []
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        detector = LossDetector(setting, seed=seed)
        detector.update(rng.gamma(SHAPE, 1.0, WARM_UP))
        changed = rng.gamma(SHAPE, factor, LONGEST)
        found.append(next((n for n, loss in enumerate(changed, 1) if detector.update([loss])), LONGEST))
    return statistics.median(found)


def main() -> None:
    """Print one row per setting."""
    print("| at most one false alarm in | measured: one in | losses doubled | half as large again |")
    print("|---|---|---|---|")
    for setting in (1_000, 10_000):
        rare = samples_per_false_alarm(setting, 200 * setting)
        cells = [f"{setting:,}", f"{rare:,.0f}", *(f"{delay(setting, f, 100):.0f}" for f in (2.0, 1.5))]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
