"""An encoder loaded into ONNX Runtime: samples in, embeddings out."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.encoder.encoder import Encoder
from ssd_edge_runtime.encoder.parts import OUTPUT
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.confined import open_limited
from ssd_edge_runtime.onnx.session import run_session


class EncoderSession:
    """An encoder loaded into ONNX Runtime; several threads may embed at once."""

    def __init__(self, encoder: Encoder, threads: int = 1) -> None:
        """Raise :class:`EdgeModelError` without onnxruntime, or where it does not take the encoder."""
        self._encoder = encoder
        try:
            self._session = open_limited(encoder.to_onnx(), threads, encoder.limits if encoder.confined else None)
        except ImportError as error:
            raise EdgeModelError(
                f"this model has an encoder ({encoder.name}), which needs onnxruntime: pip install onnxruntime"
            ) from error
        except EdgeModelError as error:
            raise EdgeModelError(f"encoder {encoder.name}: {error}") from error

    def embed(self, x: Float32) -> Float32:
        """Embeddings float32 (N, width) of samples float32 (N, *input_shape) or (N, their number of values).

        Raises :class:`EdgeModelError` where an embedding is not finite, or of another shape than was told.
        """
        samples = np.ascontiguousarray(x, np.float32).reshape(-1, *self._encoder.input_shape)
        size = self._encoder.block
        if len(samples) <= size:
            return self._embed(samples, 0)
        starts = range(0, len(samples), size)
        return np.concatenate([self._embed(samples[start : start + size], start) for start in starts])

    def _embed(self, samples: Float32, start: int) -> Float32:
        try:
            embeddings: Float32 = run_session(self._session, OUTPUT, samples)
        except EdgeModelError as error:
            raise EdgeModelError(f"encoder {self._encoder.name}: {error}") from error
        wanted = (len(samples), self._encoder.width)
        if embeddings.dtype != np.float32 or embeddings.shape != wanted:
            raise EdgeModelError(
                f"encoder {self._encoder.name} gave {embeddings.dtype} {embeddings.shape}, not float32 {wanted}"
            )
        finite = np.isfinite(embeddings).all(axis=1)
        if not finite.all():
            raise EdgeModelError(
                f"encoder {self._encoder.name} gives NaN or infinity for sample {start + int(finite.argmin())}"
            )
        return embeddings
