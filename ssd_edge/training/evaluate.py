"""Accuracy per task: one head over all classes seen, no task label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssd_edge.model import TopKNetwork
from ssd_edge.training.statistics import chunks
from ssd_edge.training.task_data import Part

Readout = tuple[Tensor, Tensor]


@torch.no_grad()
def accuracies(network: TopKNetwork, parts: Sequence[Part], readout: Readout | None = None) -> list[float]:
    """Share of each part's samples answered right; ``readout`` (V, b) stands in for the network's own."""
    network.eval()
    weight, bias = readout or (network.readout_weight, network.readout_bias)
    result = []
    for part in parts:
        right = 0
        for chunk in chunks(part):
            logits = torch.nn.functional.linear(network.codes_of(chunk.u)[-1], weight, bias)
            right += int((logits.argmax(dim=1) == chunk.y).sum())
        result.append(right / len(part.y))
    return result
