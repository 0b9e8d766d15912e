"""One pass over samples through a network, batch by batch; and how many of them it answers right."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export.samples import Samples, samples_of
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError

BATCH = 1024


def batches(
    network: TopKNetwork, x: Float32, progress: Progress = unwatched
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Preprocessed samples (B, d) and the code of every layer (B, n), batch by batch, on the network's device.

    ``progress`` counts samples, after each batch. Raises DataError for no samples or samples of another shape.
    """
    network.eval()
    for u in preprocessed(network, x, progress):
        yield u, network.codes_of(u)


def preprocessed(network: TopKNetwork, x: Float32, progress: Progress = unwatched) -> Iterator[Tensor]:
    """What the first layer sees of samples, float32 (B, d), as in ``batches``."""
    check_samples(network, x)
    for start in range(0, len(x), BATCH):
        yield network.preprocess(torch.from_numpy(x[start : start + BATCH]).to(network.device))
        progress(min(start + BATCH, len(x)), len(x))


def check_samples(network: TopKNetwork, x: Float32) -> None:
    """Raise DataError unless ``x`` is float32 (N >= 1, *input_shape)."""
    if x.shape[1:] != network.input_shape or x.dtype != np.float32:
        wanted = " x ".join(map(str, network.input_shape))
        raise DataError(f"samples must be float32 of shape (N, {wanted}), got {x.dtype} {x.shape}")
    if len(x) == 0:
        raise DataError("no samples given")


def accuracy(run: Run, samples: Samples) -> float:
    """Share of ``samples`` that the run's network answers right, over all classes it knows."""
    right = start = 0
    for _, codes in batches(run.network, samples.x):
        answers = run.network.readout(codes[-1]).argmax(dim=1).cpu().numpy()
        right += int((answers == samples.y[start : start + len(answers)]).sum())
        start += len(answers)
    return right / len(samples)


def accuracy_on_test(run: Run) -> float:
    """``accuracy`` on the test samples of the tasks trained."""
    return accuracy(run, samples_of(run.test_data(), run.network.classes))
