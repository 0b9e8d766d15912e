"""What a caller may hand in as samples: checked once at the edge, and embedded by the encoder."""

from __future__ import annotations

import inspect
import math
import threading
import warnings
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.input_facts import Scale
from ssd_edge_runtime.options import require_choice
from ssd_edge_runtime.serving.foreign import as_numbers
from ssd_edge_runtime.serving.pictures import read_pictures
from ssd_edge_runtime.serving.scale import brought_to
from ssd_edge_runtime.serving.shapes import as_rows
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder.session import EncoderSession

ScaleCheck = Literal["warn", "strict", "off"]
"""What is done about samples in another range than those trained on: say so, refuse them, or nothing."""


class Intake:
    """Holds no lock of the model's: embedding delays neither predictions nor learning of other threads."""

    def __init__(self, state: ModelState, threads: int) -> None:
        self._encoder = state.encoder
        self._input_shape, self._sample_width = state.input_shape, state.sample_width
        self._scale, self._fit = state.inputs.scale, state.inputs.fit(state.input_shape)
        self._threads = threads
        self._opening = threading.Lock()
        self._session: EncoderSession | None = None

    def samples(self, x: Any, check: ScaleCheck) -> Float32:
        """Checked samples as they are fed, contiguous float32 (N, number of values)."""
        pictures = None if type(x) is np.ndarray and x.dtype == np.float32 else self._pictures(x)
        if pictures is not None:
            return pictures.reshape(len(pictures), -1)
        samples = as_samples(x, self._input_shape, self._sample_width)
        return samples if self._scale is None or check == "off" else self._in_scale(self._scale, samples, check)

    def _pictures(self, x: Any) -> Float32 | None:
        return read_pictures(x, self._input_shape, self._fit)

    def _in_scale(self, scale: Scale, samples: Float32, check: ScaleCheck) -> Float32:
        require_choice("scale_check", check, get_args(ScaleCheck))
        samples, remark = brought_to(scale, samples, self._input_shape)
        if remark is not None:
            EdgeModelError.unless(check == "warn", f"{remark} (scale-strict)")
            warnings.warn(remark, stacklevel=_frames_to_the_caller())
        return samples

    def inputs(self, x: Any, check: ScaleCheck) -> Float32:
        """What the first layer takes of them, contiguous float32 (N, d)."""
        samples = self.samples(x, check)
        return samples if self._encoder is None else self._opened().embed(samples)

    def _opened(self) -> EncoderSession:
        """The encoder's session, made when it is needed first: opening a model runs nothing."""
        with self._opening:
            if self._session is None:
                from ssd_edge_runtime.encoder import EncoderSession

                assert self._encoder is not None
                self._session = EncoderSession(self._encoder, self._threads)
            return self._session


def as_samples(x: Any, input_shape: tuple[int, ...], width: int) -> Float32:
    """Samples as contiguous float32 (N, d).

    ``x``: (N, *input_shape), (N, d), or a single sample of either shape, in any order that
    :func:`~ssd_edge_runtime.serving.shapes.as_rows` knows; an array, a list, a tensor, a data frame, or anything
    with ``__array__``. uint8 is divided by 255. Raises :class:`EdgeModelError` for another shape or dtype, for no
    samples, and for NaN or infinity.
    """
    if type(x) is np.ndarray and x.dtype == np.float32 and x.ndim == 2 and x.shape[1] == width and len(x):
        samples = np.ascontiguousarray(x)
        _require_finite(samples)
        return samples
    rows = as_rows(as_numbers(x, "samples"), input_shape)
    if rows.dtype == np.uint8:
        return rows.astype(np.float32) / np.float32(255.0)
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(rows, np.float32)
    _require_finite(samples)
    return samples


def _require_finite(samples: Float32) -> None:
    # One dot product is the cheap test: it is finite unless a value is not, or the sum overflows.
    # np.vdot, unlike np.dot, does not warn of either.
    if not math.isfinite(np.vdot(samples, samples)):
        bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(bad):
            raise EdgeModelError(f"sample {bad[0]} holds NaN or infinity")


def _frames_to_the_caller() -> int:
    """As ``stacklevel`` counts them: from whoever warns to the first line that is not of this package."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__.split('.')[0]}."):
        frame, level = frame.f_back, level + 1
    return level
