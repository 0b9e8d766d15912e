"""One pass over data: how often each neuron fires, and what its inputs are when it does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKNetwork
from ssd_edge_export.passes import batches
from ssd_edge_runtime.arrays import Float32, Int64


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
def observe(network: TopKNetwork, x: Float32, progress: Progress = unwatched) -> list[LayerActivity]:
    """Activity of every layer over float32 (N, *input_shape), inhibition complete."""
    shapes = [layer.weight.shape for layer in network.topk_layers]
    device = network.device
    counts = [torch.zeros(n, dtype=torch.int64, device=device) for n, _ in shapes]
    active = [torch.zeros(n, d, dtype=torch.float32, device=device) for n, d in shapes]
    means = [torch.zeros(d, dtype=torch.float64, device=device) for _, d in shapes]
    for u, codes in batches(network, x, progress):
        for i, (inputs, z) in enumerate(zip([u, *codes], codes, strict=False)):
            fired = (z > 0).to(torch.float32)
            counts[i] += fired.sum(0).long()
            active[i].addmm_(fired.T, inputs.abs())
            means[i] += inputs.abs().sum(0, dtype=torch.float64)
    return [
        LayerActivity(c.cpu().numpy(), a.double().cpu().numpy() / len(x), m.cpu().numpy() / len(x), len(x))
        for c, a, m in zip(counts, active, means, strict=True)
    ]


def least_active(activation_count: Int64, share: float) -> Int64:
    """The ``round(share * n)`` least active neurons, int64 ascending; ties go to the lower index."""
    count = round(share * len(activation_count))
    return np.sort(np.argsort(activation_count, kind="stable")[:count]).astype(np.int64)
