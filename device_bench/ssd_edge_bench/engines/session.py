"""An ONNX model in a bare ONNX Runtime session: nothing of ours runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray


class SessionEngine:
    """Predicts only: ONNX Runtime does not learn."""

    operations: tuple[str, ...] = ()

    def __init__(self, path: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def predict(self, x: NDArray[np.float32]) -> Any:
        """Logits of x float32 (N, *input_shape)."""
        return self._session.run(["logits"], {"input": x})[0]
