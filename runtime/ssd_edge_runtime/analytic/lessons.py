"""What an analytic readout has learned, as sparse codes: a few bytes a sample, to be learned again later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.state import Layer

Arrays = dict[str, NDArray[Any]]


@dataclass(eq=False)
class Lesson:
    """The samples of one call."""

    names: list[str]
    """Class name of each sample."""
    blocks: list[list[Codes]]
    """Their codes: per block of samples, per layer."""


def narrow(values: NDArray[Any], below: int) -> NDArray[Any]:
    """Integers below ``below`` in two bytes where that suffices, else in four."""
    return values.astype(np.uint16 if below <= 1 << 16 else np.uint32)


def encode(lessons: Sequence[Lesson]) -> tuple[dict[str, Any], Arrays]:
    """Fields and arrays for :func:`ssd_edge_runtime.storage.records.encode`; of hidden layers only the places."""
    names = [name for lesson in lessons for name in lesson.names]
    classes = list(dict.fromkeys(names))
    number = {name: place for place, name in enumerate(classes)}
    blocks = [block for lesson in lessons for block in lesson.blocks]
    arrays = {
        "calls": np.array([len(lesson.names) for lesson in lessons], np.uint32),
        "labels": narrow(np.array([number[name] for name in names], np.int64), len(classes)),
    }
    for layer in range(len(blocks[0]) if blocks else 0):
        codes = [block[layer] for block in blocks]
        width = codes[0].shape[1]
        active = np.concatenate([np.diff(each.indptr) for each in codes])
        arrays[f"active{layer}"] = narrow(active, width)
        arrays[f"neurons{layer}"] = narrow(np.concatenate([each.neurons for each in codes]), width)
    if blocks:
        arrays["values"] = np.concatenate([block[-1].values for block in blocks])
    return {"classes": classes}, arrays


def decode(
    fields: dict[str, Any], arrays: Arrays, layers: Sequence[Layer], block: int, step: float | None = None
) -> Iterator[Lesson]:
    """The lessons, their codes cut into blocks of ``block`` samples as :meth:`AnalyticLearner.learn` does.

    ``step``: what exact codes are multiples of; None for float32 ones. Raises EdgeModelError, before the first
    lesson, for what cannot be codes of a model with these ``layers``.
    """
    if "calls" in arrays and not len(arrays["calls"]):
        return
    wanted = {"calls", "labels", "values"}
    wanted |= {f"{what}{place}" for place in range(len(layers)) for what in ("active", "neurons")}
    classes = fields.get("classes")
    if set(arrays) != wanted or not isinstance(classes, list) or not all(isinstance(c, str) for c in classes):
        raise EdgeModelError("a journal's record is not of this model")
    calls, labels = arrays["calls"].astype(np.int64), arrays["labels"].astype(np.int64)
    if calls.min() < 1 or calls.sum() != len(labels) or labels.max() >= len(classes):
        raise EdgeModelError("a journal's record does not say which samples it holds")
    codes = [_codes(arrays, place, layer, len(labels)) for place, layer in enumerate(layers)]
    codes[-1].values = arrays["values"].astype(np.float32)
    if len(codes[-1].values) != len(codes[-1].neurons) or not _positive(codes[-1].values):
        raise EdgeModelError("a journal's record holds codes that are not positive numbers")
    if step is not None and (np.fmod(codes[-1].values, step) != 0.0).any():
        raise EdgeModelError("a journal's record holds codes that are not exact, as this model's are")
    stop = 0
    for count in calls.tolist():
        start, stop = stop, stop + count
        cuts = [(first, min(first + block, stop)) for first in range(start, stop, block)]
        blocks = [[each.slice(*cut) for each in codes] for cut in cuts]
        yield Lesson([classes[label] for label in labels[start:stop]], blocks)


def _codes(arrays: Arrays, place: int, layer: Layer, samples: int) -> Codes:
    active, neurons = arrays[f"active{place}"].astype(np.int64), arrays[f"neurons{place}"].astype(np.int32)
    width = layer.weights.shape[0]
    good = len(active) == samples and active.max() <= layer.k and active.sum() == len(neurons)
    if not good or (len(neurons) and not 0 <= neurons.min() <= neurons.max() < width):
        raise EdgeModelError(f"a journal's record holds codes that {layer.name} cannot have")
    indptr = np.zeros(samples + 1, np.int32)
    np.cumsum(active, out=indptr[1:])
    inner = np.ones(len(neurons), bool)
    inner[indptr[:-1][active > 0]] = False
    if (np.diff(neurons, prepend=-1)[inner] <= 0).any():
        raise EdgeModelError(f"a journal's record holds neurons of {layer.name} that do not ascend")
    return Codes(indptr, neurons, np.ones(len(neurons), np.float32), (samples, width))


def _positive(values: NDArray[np.float32]) -> bool:
    return bool((np.isfinite(values) & (values > 0.0)).all())
