"""From what a caller hands in to what the first layer takes: samples checked, and embedded by the encoder."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.serving.inputs import as_samples
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import EncoderSession


class Intake:
    """Holds no lock of the model's: embedding delays neither predictions nor learning of other threads."""

    def __init__(self, state: ModelState, threads: int) -> None:
        self._encoder = state.encoder
        self._input_shape, self._sample_width = state.input_shape, state.sample_width
        self._threads = threads
        self._opening = threading.Lock()
        self._session: EncoderSession | None = None

    def samples(self, x: Any) -> Float32:
        """Checked samples as they are fed, contiguous float32 (N, number of values)."""
        return as_samples(x, self._input_shape, self._sample_width)

    def inputs(self, x: Any) -> Float32:
        """What the first layer takes of them, contiguous float32 (N, d)."""
        samples = self.samples(x)
        return samples if self._encoder is None else self._opened().embed(samples)

    def _opened(self) -> EncoderSession:
        """The encoder's session, made when it is needed first: opening a model runs nothing."""
        with self._opening:
            if self._session is None:
                from ssd_edge_runtime.encoder import EncoderSession

                assert self._encoder is not None
                self._session = EncoderSession(self._encoder, self._threads)
            return self._session
