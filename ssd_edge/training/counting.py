"""Which neurons fire for a task's samples, counted once at its end, by all processes together."""

from __future__ import annotations

import torch
from torch import Tensor

from ssd_edge.methods import Task
from ssd_edge.model import TopKNetwork
from ssd_edge.training.parallel import ALONE, Parallel
from ssd_edge.training.statistics import chunks
from ssd_edge.training.task_data import Part


@torch.no_grad()
def count(network: TopKNetwork, task: Task, parallel: Parallel = ALONE) -> None:
    """Count which neurons fire for the task's samples as the network is now, its inhibition complete.

    The paper's p_i looks at the end of the task; counts of training steps would include the time when the
    GABA switch lets every neuron fire.
    """
    network.eval()
    before = counts(network)
    for chunk in chunks(Part(parallel.share(task.u), parallel.share(task.y))):
        network.count(network.codes_of(chunk.u), chunk.y)
    if parallel.size > 1:
        sum_new_counts(network, before, parallel)


def counts(network: TopKNetwork) -> list[Tensor]:
    """Copies of everything that ``network.count`` adds to."""
    totals = torch.tensor([network.samples_seen, network.task_samples], device=network.device)
    layers = [c for layer in network.topk_layers for c in (layer.activation_count, layer.task_count)]
    classes = [layer.class_count for layer in network.topk_layers]
    return [count.clone() for count in (totals, network.class_samples, *layers, *classes)]


def sum_new_counts(network: TopKNetwork, before: list[Tensor], parallel: Parallel) -> None:
    """Add up over the processes what has been counted since ``before``."""
    new = [now - then for now, then in zip(counts(network), before, strict=True)]
    parallel.sum_(new)
    totals, class_samples, *layers = (then + more for then, more in zip(before, new, strict=True))
    network.samples_seen, network.task_samples = (int(total) for total in totals)
    network.class_samples = class_samples
    for i, layer in enumerate(network.topk_layers):
        layer.activation_count, layer.task_count = layers[2 * i], layers[2 * i + 1]
        layer.class_count = layers[2 * len(network.topk_layers) + i]


def neurons(network: TopKNetwork) -> list[dict[str, int]]:
    """Per hidden layer: active in this task, of them those active before it too, never active."""
    result = []
    for layer in network.topk_layers:
        now, ever = layer.task_count > 0, layer.activation_count > 0
        before = layer.activation_count > layer.task_count
        masks = {"active": now, "reused": now & before, "free": ~ever}
        result.append({name: int(mask.sum()) for name, mask in masks.items()})
    return result
