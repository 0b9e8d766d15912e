"""One pass over data: how often each neuron fires, and what its inputs are when it does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssd_edge.model import TopKNetwork
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError

BATCH = 1024
Report = Callable[[int, int], None]
_watcher: ContextVar[Report | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(report: Report) -> Iterator[None]:
    """Call ``report(done, total)`` after each batch of every pass over samples made within."""
    token = _watcher.set(report)
    try:
        yield
    finally:
        _watcher.reset(token)


@dataclass(frozen=True, eq=False)
class LayerActivity:
    """What one layer saw and did over ``samples`` samples."""

    activation_count: NDArray[np.int64]
    """(n,), samples in which each neuron fired."""
    active_input: NDArray[np.float64]
    """(n, d), sum of ``|x_j|`` over the samples in which neuron i fired, divided by all samples."""
    mean_input: NDArray[np.float64]
    """(d,), mean ``|x_j|``."""
    samples: int


@torch.no_grad()
def observe(network: TopKNetwork, x: Float32) -> list[LayerActivity]:
    """Activity of every layer over float32 (N, *input_shape), inhibition complete."""
    shapes = [layer.weight.shape for layer in network.topk_layers]
    device = network.device
    counts = [torch.zeros(n, dtype=torch.int64, device=device) for n, _ in shapes]
    active = [torch.zeros(n, d, dtype=torch.float32, device=device) for n, d in shapes]
    means = [torch.zeros(d, dtype=torch.float64, device=device) for _, d in shapes]
    for u, codes in batches(network, x):
        for i, (inputs, z) in enumerate(zip([u, *codes], codes, strict=False)):
            fired = (z > 0).to(torch.float32)
            counts[i] += fired.sum(0).long()
            active[i].addmm_(fired.T, inputs.abs())
            means[i] += inputs.abs().sum(0, dtype=torch.float64)
    return [
        LayerActivity(c.cpu().numpy(), a.double().cpu().numpy() / len(x), m.cpu().numpy() / len(x), len(x))
        for c, a, m in zip(counts, active, means, strict=True)
    ]


def batches(network: TopKNetwork, x: Float32, size: int = BATCH) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Preprocessed samples (B, d) and the code of every layer (B, n), batch by batch, on the network's device.

    Raises DataError for no samples or samples of another shape.
    """
    check_samples(network, x)
    network.eval()
    report = _watcher.get()
    for start in range(0, len(x), size):
        u = network.preprocess(torch.from_numpy(x[start : start + size]).to(network.device))
        yield u, network.codes_of(u)
        if report is not None:
            report(min(start + size, len(x)), len(x))


def check_samples(network: TopKNetwork, x: Float32) -> None:
    """Raise DataError unless ``x`` is float32 (N >= 1, *input_shape)."""
    if x.shape[1:] != network.input_shape or x.dtype != np.float32:
        wanted = " x ".join(map(str, network.input_shape))
        raise DataError(f"samples must be float32 of shape (N, {wanted}), got {x.dtype} {x.shape}")
    if len(x) == 0:
        raise DataError("no samples given")
