"""What a caller may hand in as samples and labels: checked once at the edge, samples embedded by the encoder."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder.session import EncoderSession


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


def as_samples(x: Any, input_shape: tuple[int, ...], width: int) -> Float32:
    """Samples as contiguous float32 (N, d).

    ``x``: (N, *input_shape), (N, d), or a single sample of either shape; an array, a list, or anything with
    ``__array__``. uint8 is divided by 255. Raises :class:`EdgeModelError` for another shape or dtype, for no
    samples, and for NaN or infinity.
    """
    if type(x) is np.ndarray and x.dtype == np.float32 and x.ndim == 2 and x.shape[1] == width and len(x):
        samples = np.ascontiguousarray(x)
        _require_finite(samples)
        return samples
    array = _as_array(x, "samples")
    kind = array.dtype.kind
    if kind not in "fiub":
        raise EdgeModelError(f"samples must be numbers, got dtype {array.dtype}")
    if array.shape == input_shape or array.shape == (width,):
        array = array.reshape(1, width)
    elif array.ndim >= 1 and (array.shape[1:] == input_shape or array.shape[1:] == (width,)):
        if len(array) == 0:
            raise EdgeModelError("no samples given")
        array = array.reshape(len(array), width)
    else:
        wanted = " x ".join(map(str, input_shape))
        raise EdgeModelError(f"samples must have shape (N, {wanted}) or (N, {width}), got {array.shape}")
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255.0)
    with np.errstate(over="ignore"):
        samples = np.ascontiguousarray(array, np.float32)
    _require_finite(samples)
    return samples


def as_names(y: Any, samples: int) -> list[str]:
    """Class names of ``samples`` samples; an integer label i is the class named ``str(i)``.

    Raises :class:`EdgeModelError` for labels of another number or of a type other than string and integer.
    """
    array = _as_array(y, "labels")
    if array.ndim == 0:
        array = array.reshape(1)
    if array.ndim != 1:
        raise EdgeModelError(f"labels must be one per sample, got shape {array.shape}")
    if len(array) != samples:
        raise EdgeModelError(f"{samples} samples but {len(array)} labels")
    if array.dtype.kind in "OTUiu":
        labels = array.tolist()
        if array.dtype.kind in "iu" or all(_is_label(label) for label in labels):
            names = [str(label) for label in labels]
            if "" in names:
                raise EdgeModelError("a class name must not be empty")
            _require_text(names)
            return names
    raise EdgeModelError(f"labels must be strings or integers, got dtype {array.dtype}")


def _require_text(names: list[str]) -> None:
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise EdgeModelError(f"a class name must be text that UTF-8 can hold: {error}") from error


def _is_label(label: object) -> bool:
    return isinstance(label, (str, int, np.integer)) and not isinstance(label, bool)


def _as_array(values: Any, what: str) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise EdgeModelError(f"{what} cannot be read as one array: {error}") from error


def _require_finite(samples: Float32) -> None:
    # One dot product is the cheap test: it is finite unless a value is not, or the sum overflows.
    # np.vdot, unlike np.dot, does not warn of either.
    if not math.isfinite(np.vdot(samples, samples)):
        bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(bad):
            raise EdgeModelError(f"sample {bad[0]} holds NaN or infinity")
