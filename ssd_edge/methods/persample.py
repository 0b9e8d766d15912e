"""Sums over samples of a function of each sample's own gradient, without a loop over samples.

A sample's gradient of a matrix is an outer product, of the gradient at the layer's output and of its input.
So ``sum_n f(g_n)`` is one matrix product for every f with ``f(a b) = f(a) f(b)``: the square, the absolute value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ssd_edge.methods.method import Task

CHUNK = 2048
Elementwise = Callable[[Tensor], Tensor]


def mean_over_samples(task: Task, output_loss: Callable[[Tensor], Tensor], f: Elementwise) -> dict[str, Tensor]:
    """``1/N sum_n f(d loss_n / d theta)`` by parameter name, over the task's samples, inhibition complete.

    ``output_loss``: logits float32 (N, classes) -> loss of each sample, float32 (N,).
    ``f``: elementwise and multiplicative.
    """
    network = task.network
    network.eval()
    layers = network.topk_layers
    names = [f"layers.{i}.weight" for i in range(len(layers))]
    total = {name: torch.zeros_like(layer.weight) for name, layer in zip(names, layers, strict=True)}
    total["readout_weight"] = torch.zeros_like(network.readout_weight)
    for u in torch.split(task.u, CHUNK):
        inputs, outputs, logits = forward_with_outputs(task, u)
        gradients = torch.autograd.grad(output_loss(logits).sum(), [*outputs, logits])
        for name, gradient, value in zip(total, gradients, inputs, strict=True):
            total[name] += f(gradient).T @ f(value)
    return {name: value / len(task.u) for name, value in total.items()}


def forward_with_outputs(task: Task, u: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Inputs of every matrix, the outputs ``W x`` of the hidden ones, and the logits; with their graph."""
    inputs, outputs = [u], []
    for layer in task.network.topk_layers:
        outputs.append(torch.nn.functional.linear(inputs[-1], layer.weight).requires_grad_())
        inputs.append(layer.inhibit(layer.over_lengths(torch.relu(outputs[-1]), inputs[-1])))
    logits = task.network.readout(inputs[-1])
    return [value.detach() for value in inputs], outputs, logits
