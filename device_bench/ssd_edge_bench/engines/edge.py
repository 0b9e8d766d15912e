"""Our runtime, used as a device uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime import EdgeModel, model_file


class EdgeEngine:
    """The CSR engine: predicts, and learns where the file carries a learning state."""

    def __init__(self, path: Path, threads: int) -> None:
        self._model = EdgeModel(model_file.load(path), engine="csr", threads=threads)
        state = self._model.state
        learning = ("learn", "solve") if state.readout.kind == "analytic" else ("learn",)
        encoding = () if state.encoder is None else ("embed",)
        self.operations: tuple[str, ...] = (*encoding, *(learning if state.has_learning_state else ()), "save")

    def predict(self, x: NDArray[np.float32]) -> Any:
        """Logits of x float32 (N, *input_shape)."""
        return self._model.logits(x)

    def embed(self, x: NDArray[np.float32]) -> Any:
        """What the encoder alone makes of x float32 (N, *input_shape)."""
        return self._model.embed(x)

    def learn(self, x: NDArray[np.float32], y: NDArray[np.str_]) -> None:
        """One learning step on a batch; ``y`` holds class names."""
        self._model.partial_fit(x, y)

    def solve(self) -> None:
        """The closed-form readout from its statistics, as the first prediction after a change does it."""
        _ = self._model.state

    def save(self, path: Path) -> None:
        """Atomic, flushed to storage."""
        self._model.save(path)
