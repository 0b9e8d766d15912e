"""A model file's state as the trainer's network."""

from __future__ import annotations

import torch

from ssd_edge.model import TopKNetwork
from ssd_edge_runtime.state import ModelState


def network_of(state: ModelState) -> TopKNetwork:
    """The dense torch network of the same function and counts, in inference mode; supports become masks.

    Behind an encoder it takes embeddings.
    """
    state = state.head
    weights = [torch.from_numpy(layer.weights.to_dense()) for layer in state.layers]
    masks = []
    for layer in state.layers:
        mask = torch.zeros(layer.weights.shape, dtype=torch.bool)
        mask[torch.from_numpy(layer.weights.row_of_entry()), torch.from_numpy(layer.weights.columns)] = True
        masks.append(None if bool(mask.all()) else mask)
    center = None if state.center is None else torch.from_numpy(state.center)
    network = TopKNetwork(
        weights,
        [layer.k for layer in state.layers],
        state.input_shape,
        center=center,
        masks=masks,
        normalized_first=state.normalized_first,
        sketch=state.sketch,
        activation=state.layers[0].activation,
    )
    network.epsilon = state.epsilon
    network.add_classes(state.classes)
    network.readout_weight.data = torch.from_numpy(state.readout.weights.copy())
    if state.readout.bias is not None:
        network.readout_bias = torch.from_numpy(state.readout.bias.copy())
    for own, held in zip(network.topk_layers, state.layers, strict=True):
        own.activation_count = torch.from_numpy(held.activation_count.copy())
        own.task_count = torch.from_numpy(held.task_count.copy())
        own.class_count = torch.from_numpy(held.class_count.copy())
    network.class_samples = torch.from_numpy(state.class_samples.copy())
    network.samples_seen, network.task_samples = state.samples_seen, state.task_samples
    return network.eval()
