"""Labels as callers hand them in, as class names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.names import class_names, spelled_as
from ssd_edge_runtime.serving.foreign import NUMBERS, as_array


def as_names(y: Any, samples: int, known: Sequence[str] = ()) -> list[str]:
    """Class names of ``samples`` samples, those of ``known`` classes as they stand there.

    ``y``: one label per sample, (N,) or (N, 1): text, or whole numbers, i being the class named ``str(i)``; or
    one-hot (N, C), column j being the class named ``str(j)``, in a data frame the class named like the column.
    Raises :class:`EdgeModelError` for another number of labels, and by
    :func:`~ssd_edge_runtime.names.class_name` for what names no class.
    """
    labels = label_values(y)
    if len(labels) != samples:
        raise EdgeModelError(f"{samples} samples but {len(labels)} labels")
    if set(map(type, labels)) == {str} and known and set(labels).issubset(known):
        return labels  # The rule has been kept already, at every door that a class comes in by.
    return spelled_as(class_names(labels), known)


def label_values(y: Any) -> list[Any]:
    """The label of each sample, whatever it is, of what :func:`as_names` takes."""
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
    ones: NDArray[np.bool_] = array == 1
    return bool((ones.sum(axis=1) == 1).all() and (ones | (array == 0)).all())
