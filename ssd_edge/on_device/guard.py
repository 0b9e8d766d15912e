"""Labelled data on which accuracy must hold."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data import Dataset, Reading
from ssd_edge.on_device.inputs import Data, load_labelled
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class Guard:
    """Labelled data on which accuracy must hold, or nothing is saved."""

    data: Data
    """Of data given by name, the test part."""
    max_drop: float = 0.0
    """Accuracy on it that may be lost, 0 to 1."""

    def __post_init__(self) -> None:
        OptionError.unless(0 <= self.max_drop <= 1, f"max-drop must be between 0 and 1, got {self.max_drop}")

    def loaded(self, model: EdgeModel, root: str | Path | None = None, reading: Reading = Reading()) -> Guard:
        """The same with its data at hand, as ``model`` takes it. Raises DataError or OSError."""
        data = load_labelled(self.data, model, split="test", root=root, reading=reading)
        return dataclasses.replace(self, data=data)

    @property
    def samples(self) -> Dataset:
        """Its data, loaded."""
        assert isinstance(self.data, Dataset)
        return self.data

    def right(self, model: EdgeModel) -> NDArray[np.bool_]:
        """Which of its samples a model answers rightly, (N,)."""
        answers: NDArray[np.bool_] = model.predict(self.samples.x) == self.samples.names
        return answers

    def verdict(self, before: float, after: float) -> dict[str, Any]:
        """``kept``, whether what was done may stay, and in ``guard`` why."""
        told = {"before": before, "after": after, "max_drop": self.max_drop}
        return {"kept": before - after <= self.max_drop, "guard": told}
