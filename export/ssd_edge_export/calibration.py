"""One pass over the data on exactly the weights that ship: counts, and the analytic readout's statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKNetwork
from ssd_edge_export.passes import batches, check_samples
from ssd_edge_runtime import analytic
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.network.forward import block_size
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.exact import ExactNetwork
from ssd_edge_runtime.state import Statistics


@dataclass(frozen=True, eq=False)
class LayerCounts:
    """In how many samples each neuron of a layer fired."""

    activation_count: Int64
    """(n,), in all."""
    task_count: Int64
    """(n,), in the last task."""
    class_count: Int64
    """(classes, n), per class."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What one pass over the data tells."""

    layers: list[LayerCounts]
    class_samples: Int64
    """(classes,), samples per class."""
    task_samples: int
    """Samples of the last task."""
    statistics: Statistics | None
    """Of the last layer's code; None where not asked for."""


@torch.no_grad()
def calibrate(
    network: TopKNetwork,
    x: Float32,
    y: Int64,
    *,
    last_task: Sequence[int] | None = None,
    statistics: bool = True,
    exact: ExactNetwork | None = None,
    progress: Progress = unwatched,
) -> Calibration:
    """Count and gather over float32 (N, *input_shape), labels int64 (N,) as indices into the network's classes.

    ``last_task``: class indices of the task trained last; None for all classes. The network's weights must already
    be what the file will hold. ``exact``: what makes the codes in the network's place, as on a device that learns.
    ``progress`` counts samples.

    >>> counted = calibrate(run.network, samples.x, samples.y)  # doctest: +SKIP
    >>> counted.layers[0].activation_count, counted.statistics  # doctest: +SKIP

    Raises DataError for samples or labels that do not fit.
    """
    classes = len(network.classes)
    check_labels(y, len(x), classes)
    layers = [np.zeros((classes, layer.weight.shape[0]), np.int64) for layer in network.topk_layers]
    bits = None if exact is None else exact.bits
    gathered = analytic.empty(layers[-1].shape[1], classes, bits) if statistics else None
    start = 0
    for active, codes in counts_of(network, exact, x, y, progress):
        labels = y[start : start + codes.shape[0]]
        start += len(labels)
        for count, more in zip(layers, active, strict=True):
            count += more
        if gathered is not None:
            analytic.accumulate(gathered, codes, labels)
    samples = np.bincount(y, minlength=classes).astype(np.int64)
    last = list(range(classes)) if last_task is None else list(last_task)
    counts = [LayerCounts(count.sum(axis=0), count[last].sum(axis=0), count) for count in layers]
    return Calibration(counts, samples, int(samples[last].sum()), gathered)


def counts_of(
    network: TopKNetwork, exact: ExactNetwork | None, x: Float32, y: Int64, progress: Progress
) -> Iterator[tuple[list[Int64], Codes]]:
    """Batch by batch: in how many samples of each class each neuron fired, layer by layer; the last codes."""
    classes = len(network.classes)
    if exact is not None:
        check_samples(network, x)
        yield from _exact_counts(exact, x.reshape(len(x), -1), y, classes, progress)
        return
    start = 0
    for _, codes in batches(network, x, progress):
        labels = torch.from_numpy(y[start : start + len(codes[0])])
        start += len(labels)
        members = torch.nn.functional.one_hot(labels, classes).float().to(network.device)
        active = [(members.T @ (z > 0).float()).round().long().cpu().numpy() for z in codes]
        yield active, Codes.from_dense(codes[-1].cpu().numpy())


def _exact_counts(
    exact: ExactNetwork, x: Float32, y: Int64, classes: int, progress: Progress
) -> Iterator[tuple[list[Int64], Codes]]:
    size = block_size(x.shape[1])
    for start in range(0, len(x), size):
        codes, labels = exact.codes(x[start : start + size]), y[start : start + size]
        active = []
        for z in codes:
            place = labels[z.samples()] * z.shape[1] + z.neurons
            active.append(np.bincount(place, minlength=classes * z.shape[1]).reshape(classes, -1))
        yield active, codes[-1]
        progress(min(start + size, len(x)), len(x))


def check_labels(y: Int64, samples: int, classes: int) -> None:
    """Raise DataError unless ``y`` is int64 (samples,) of indices below ``classes``."""
    if y.shape != (samples,) or y.dtype.kind != "i":
        raise DataError(f"labels must be integers of shape ({samples},), got {y.dtype} {y.shape}")
    if samples and not 0 <= y.min() <= y.max() < classes:
        raise DataError(f"labels must be between 0 and {classes - 1}, got {int(y.min())} to {int(y.max())}")
