"""Kept weights that give each neuron the activation it had: layer by layer, from second moments of the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ssd_edge.model import TopKLayer, TopKNetwork, normalize_rows
from ssd_edge_export.pruning.activity import BATCH, batches
from ssd_edge_runtime.arrays import Float32, Int64

STEPS = 400
TINY = 1e-12


@torch.no_grad()
def fit_rows(
    student: TopKNetwork, teacher: TopKNetwork, x: Float32, counts: Sequence[Int64], *, nonnegative: bool
) -> None:
    """Set the student's kept weights, layer by layer, in place; x float32 (N, *input_shape), no label is used.

    Per layer ``min sum_i f_i E[(s w_i^T v - w'_i^T u)^2]`` over s > 0 and rows w_i of length 1 on their supports
    (``>= 0`` with ``nonnegative``): w' and u are the teacher's rows and inputs, v the student's inputs, f_i how
    often the teacher's neuron i fires, from ``counts`` int64 (n,) per layer. One s serves all rows: a Top-K
    compares neurons, so it does not see a factor that they share. Rows of neurons that never fire stay.
    (Weights that make up for pruned ones: Hassibi and Stork, NIPS 1992; Frantar and Alistarh, ICML 2023.)
    """
    for number, (own, other) in enumerate(zip(student.topk_layers, teacher.topk_layers, strict=True)):
        fired = torch.from_numpy(counts[number]).to(own.weight.device)
        rows = fired.nonzero()[:, 0]
        if len(rows):
            inputs, cross = moments(student, teacher, number, x)
            shares = (fired[rows] / fired.sum()).float()
            own.weight[rows] = solution(own, rows, inputs, other.weight[rows] @ cross, shares, nonnegative)


def moments(student: TopKNetwork, teacher: TopKNetwork, number: int, x: Float32) -> tuple[Tensor, Tensor]:
    """``E[v v^T]`` and ``E[u v^T]`` of the inputs of layer ``number`` (from 0), float32 (d, d)."""
    width, device = student.topk_layers[number].weight.shape[1], student.device
    inputs = torch.zeros(width, width, dtype=torch.float64, device=device)
    cross = torch.zeros(teacher.topk_layers[number].weight.shape[1], width, dtype=torch.float64, device=device)
    for v, u in zip(inputs_of(student, number, x), inputs_of(teacher, number, x), strict=True):
        inputs += v.T @ v
        cross += u.T @ v
    return (inputs / len(x)).float(), (cross / len(x)).float()


def inputs_of(network: TopKNetwork, number: int, x: Float32) -> Iterator[Tensor]:
    """What layer ``number`` (from 0) sees, float32 (B, d), batch by batch."""
    if number:
        yield from (codes[number - 1] for _, codes in batches(network, x))
        return
    for start in range(0, len(x), BATCH):
        yield network.preprocess(torch.from_numpy(x[start : start + BATCH]).to(network.device))


def solution(
    layer: TopKLayer, rows: Tensor, inputs: Tensor, targets: Tensor, shares: Tensor, nonnegative: bool
) -> Tensor:
    """The minimum over rows and s, float32 (m, d), from the layer's own ``rows`` int64 (m,).

    ``targets``: ``W' E[u v^T]``, float32 (m, d). Accelerated projected gradient (Beck and Teboulle, SIAM J.
    Imaging Sciences 2009), ``STEPS`` steps of 1 / largest eigenvalue; s is the best for the rows before each.
    """
    support = torch.ones_like(targets) if layer.mask is None else layer.mask[rows].float()
    step = 1.0 / max(TINY, float(torch.linalg.eigvalsh(inputs.double())[-1]))
    found = ahead = layer.weight[rows]
    momentum = 1.0
    for _ in range(STEPS):
        answers = ahead @ inputs
        scale = (shares @ (ahead * targets).sum(1)) / (shares @ (ahead * answers).sum(1)).clamp_min(TINY)
        new = (ahead - step * (answers - targets / scale.clamp_min(TINY))) * support
        new = normalize_rows(new.clamp_min(0.0) if nonnegative else new)
        following = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        found, ahead, momentum = new, new + (momentum - 1.0) / following * (new - found), following
    return found
