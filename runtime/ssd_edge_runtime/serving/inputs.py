"""What a caller may hand in as samples and labels: checked once at the edge, samples embedded by the encoder."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.names import class_names, spelled_as
from ssd_edge_runtime.serving.foreign import NUMBERS, as_array, as_numbers
from ssd_edge_runtime.serving.shapes import as_rows
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


def as_names(y: Any, samples: int, known: Sequence[str] = ()) -> list[str]:
    """Class names of ``samples`` samples, those of ``known`` classes as they stand there.

    ``y``: one label per sample, (N,) or (N, 1): text, or whole numbers, i being the class named ``str(i)``; or
    one-hot (N, C), column j being the class named ``str(j)``, in a data frame the class named like the column.
    Raises :class:`EdgeModelError` for another number of labels, and by
    :func:`~ssd_edge_runtime.names.class_name` for what names no class.
    """
    labels = _labels(y)
    if len(labels) != samples:
        raise EdgeModelError(f"{samples} samples but {len(labels)} labels")
    return spelled_as(class_names(labels), known)


def _labels(y: Any) -> list[Any]:
    # NumPy would make text of every label beside one that is: NaN and True are to be found out.
    if isinstance(y, (list, tuple)) and not any(_is_nested(label) for label in y):
        return list(y)
    array = as_array(y, "labels")
    if array.ndim == 0:
        array = array.reshape(1)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and _is_one_hot(array):
        columns = array.argmax(axis=1).tolist()
        names = getattr(y, "columns", None)
        return columns if names is None else [names[column] for column in columns]
    if array.ndim != 1:
        raise EdgeModelError(f"labels must be one per sample, or one-hot, got shape {array.shape}")
    labels: list[Any] = array.tolist()
    return labels


def _is_nested(label: Any) -> bool:
    return hasattr(label, "__len__") and not isinstance(label, (str, bytes))


def _is_one_hot(array: NDArray[Any]) -> bool:
    """Whether each row is zeros and a single one."""
    if array.dtype.kind not in NUMBERS or not array.size:
        return False
    ones = array == 1
    return bool((ones.sum(axis=1) == 1).all() and (ones | (array == 0)).all())


def _require_finite(samples: Float32) -> None:
    # One dot product is the cheap test: it is finite unless a value is not, or the sum overflows.
    # np.vdot, unlike np.dot, does not warn of either.
    if not math.isfinite(np.vdot(samples, samples)):
        bad = np.flatnonzero(~np.isfinite(samples).all(axis=1))
        if len(bad):
            raise EdgeModelError(f"sample {bad[0]} holds NaN or infinity")
