"""The closed-form readout in training: statistics of the codes, gathered in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ssd_edge.model import TopKNetwork
from ssd_edge.training.parallel import ALONE, Parallel
from ssd_edge.training.task_data import Part
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import Statistics

CHUNK = 4096


def chunks(part: Part) -> Iterator[Part]:
    """The samples in blocks that keep the codes small."""
    for u, y in zip(torch.split(part.u, CHUNK), torch.split(part.y, CHUNK), strict=True):
        yield Part(u, y)


@torch.no_grad()
def gather(network: TopKNetwork, parts: Iterable[Part], parallel: Parallel = ALONE) -> Statistics:
    """``G = sum z z^T``, ``C = sum y z^T`` and counts over all samples, in float64; inhibition complete.

    ``parallel``: processes that each take a share of the samples.
    """
    network.eval()
    neurons, classes = network.readout_weight.shape[1], len(network.classes)
    gram = torch.zeros(neurons, neurons, dtype=torch.float64, device=network.device)
    sums = torch.zeros(classes, neurons, dtype=torch.float64, device=network.device)
    counts = torch.zeros(classes, dtype=torch.int64, device=network.device)
    for part in parts:
        for chunk in chunks(Part(parallel.share(part.u), parallel.share(part.y))):
            z = network.codes_of(chunk.u)[-1].double()
            gram.addmm_(z.T, z)
            sums.index_add_(0, chunk.y, z)
            counts += torch.bincount(chunk.y, minlength=classes)
    parallel.sum_([gram, sums, counts])
    return Statistics(pack(gram), sums.cpu().numpy(), counts.cpu().numpy())


def pack(gram: Tensor) -> np.ndarray:
    """The lower triangle, row by row, float64."""
    rows, columns = torch.tril_indices(len(gram), len(gram), device=gram.device)
    packed: np.ndarray = gram[rows, columns].cpu().numpy()
    return packed


def add(a: Statistics | None, b: Statistics) -> Statistics:
    """Statistics of the samples of both; ``b`` may know more classes."""
    if a is None:
        return b
    sums, counts = b.class_sums.copy(), b.class_counts.copy()
    sums[: len(a.class_sums)] += a.class_sums
    counts[: len(a.class_counts)] += a.class_counts
    return Statistics(a.gram + b.gram, sums, counts)


def solve(statistics: Statistics, options: AnalyticOptions, device: torch.device) -> tuple[Tensor, Tensor]:
    """V float32 (classes, n) and b float32 (classes,) on ``device``; the runtime's own solver."""
    from ssd_edge_runtime import analytic

    weight, bias = analytic.solve(statistics, options)
    return torch.from_numpy(weight).to(device), torch.from_numpy(bias).to(device)
