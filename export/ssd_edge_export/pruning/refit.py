"""What is fitted after pruning: kept weights and a trained readout to the unpruned network, or the closed form."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKLayer, TopKNetwork, normalize_rows
from ssd_edge_export.calibration import calibrate
from ssd_edge_export.passes import batches, preprocessed
from ssd_edge_export.pruning.activity import LayerActivity
from ssd_edge_export.samples import Samples
from ssd_edge_runtime.analytic import solve_rounded
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.options import AnalyticOptions
from ssd_edge_runtime.state import Statistics

RHO = 1e-4
"""Regularizer: ``RHO * trace(G) / n`` on the diagonal."""
ROW_STEPS = 400
READOUT_STEPS = 500
TINY = 1e-12


def imitate(
    student: TopKNetwork,
    teacher: TopKNetwork,
    x: Float32,
    activities: Sequence[LayerActivity],
    *,
    nonnegative: bool,
    progress: Progress = unwatched,
) -> None:
    """Fit the student's kept weights, then its V, to the teacher's answers on x float32 (N, *input_shape).

    Kept weights of cosine layers stay as they are: what they answer is not linear in them.

    ``activities``: the teacher's. No label is used. ``progress`` counts the samples of each pass.
    """
    if all(layer.activation == "plain" for layer in student.topk_layers):
        counts = [seen.activation_count for seen in activities]
        fit_rows(student, teacher, x, counts, nonnegative=nonnegative, progress=progress)
    refit_readout(student, teacher, x, nonnegative=nonnegative, progress=progress)


@torch.no_grad()
def fit_rows(
    student: TopKNetwork,
    teacher: TopKNetwork,
    x: Float32,
    counts: Sequence[Int64],
    *,
    nonnegative: bool,
    progress: Progress = unwatched,
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
            inputs, cross = moments(student, teacher, number, x, progress)
            shares = (fired[rows] / fired.sum()).float()
            own.weight[rows] = rows_solution(own, rows, inputs, other.weight[rows] @ cross, shares, nonnegative)


def moments(
    student: TopKNetwork, teacher: TopKNetwork, number: int, x: Float32, progress: Progress = unwatched
) -> tuple[Tensor, Tensor]:
    """``E[v v^T]`` and ``E[u v^T]`` of the inputs of layer ``number`` (from 0), float32 (d, d)."""
    width, device = student.topk_layers[number].weight.shape[1], student.device
    inputs = torch.zeros(width, width, dtype=torch.float64, device=device)
    cross = torch.zeros(teacher.topk_layers[number].weight.shape[1], width, dtype=torch.float64, device=device)
    for v, u in zip(inputs_of(student, number, x, progress), inputs_of(teacher, number, x), strict=True):
        inputs += v.T @ v
        cross += u.T @ v
    return (inputs / len(x)).float(), (cross / len(x)).float()


def inputs_of(network: TopKNetwork, number: int, x: Float32, progress: Progress = unwatched) -> Iterator[Tensor]:
    """What layer ``number`` (from 0) sees, float32 (B, d), batch by batch."""
    if number == 0:
        return preprocessed(network, x, progress)
    return (codes[number - 1] for _, codes in batches(network, x, progress))


def rows_solution(
    layer: TopKLayer, rows: Tensor, inputs: Tensor, targets: Tensor, shares: Tensor, nonnegative: bool
) -> Tensor:
    """The minimum over rows and s, float32 (m, d), from the layer's own ``rows`` int64 (m,).

    ``targets``: ``W' E[u v^T]``, float32 (m, d). Accelerated projected gradient (Beck and Teboulle, SIAM J.
    Imaging Sciences 2009), ``ROW_STEPS`` steps of 1 / largest eigenvalue; s is the best for the rows before each.
    """
    support = torch.ones_like(targets) if layer.mask is None else layer.mask[rows].float()
    step = 1.0 / max(TINY, float(torch.linalg.eigvalsh(inputs.double())[-1]))
    found = ahead = layer.weight[rows]
    momentum = 1.0
    for _ in range(ROW_STEPS):
        answers = ahead @ inputs
        scale = (shares @ (ahead * targets).sum(1)) / (shares @ (ahead * answers).sum(1)).clamp_min(TINY)
        new = (ahead - step * (answers - targets / scale.clamp_min(TINY))) * support
        new = normalize_rows(new.clamp_min(0.0) if nonnegative else new)
        following = accelerated(momentum)
        found, ahead, momentum = new, new + (momentum - 1.0) / following * (new - found), following
    return found


@torch.no_grad()
def refit_readout(
    student: TopKNetwork,
    teacher: TopKNetwork,
    x: Float32,
    *,
    nonnegative: bool,
    progress: Progress = unwatched,
) -> None:
    """Set the student's V to the least-squares fit of its codes to the teacher's logits on (N, *input_shape).

    ``V = B (G + lam I)^-1`` with ``G = sum z z^T`` of the student's codes and ``B = sum o z^T`` of the teacher's
    logits o; with ``nonnegative`` the minimum over V >= 0, as learning on the device keeps it. No label is used.
    """
    n, device = student.readout_weight.shape[1], student.device
    gram = torch.zeros(n, n, dtype=torch.float64, device=device)
    cross = torch.zeros(len(student.classes), n, dtype=torch.float64, device=device)
    for (_, own), (_, other) in zip(batches(student, x, progress), batches(teacher, x), strict=True):
        fired = own[-1].any(dim=0).nonzero()[:, 0]
        z = own[-1][:, fired]
        gram[fired[:, None], fired] += (z.T @ z).double()
        cross[:, fired] += (teacher.readout(other[-1]).T @ z).double()
    gram.diagonal().add_(RHO * gram.trace() / n)
    if float(gram.diagonal().min()) <= 0.0:
        return
    weights = nonnegative_solution(gram, cross) if nonnegative else torch.linalg.solve(gram, cross.T).T
    student.readout_weight.copy_(weights)


def nonnegative_solution(gram: Tensor, cross: Tensor, steps: int = READOUT_STEPS) -> Tensor:
    """``argmin_{V >= 0} tr(V G V^T) / 2 - tr(V B^T)``, float64 (classes, n), by accelerated projected gradient.

    Beck and Teboulle, SIAM J. Imaging Sciences 2009; started at zero, ``steps`` steps of 1 / largest eigenvalue.
    """
    step = 1.0 / float(torch.linalg.eigvalsh(gram)[-1])
    solution = torch.zeros_like(cross)
    ahead, momentum = solution, 1.0
    for _ in range(steps):
        new = (ahead - step * (ahead @ gram - cross)).clamp_min(0.0)
        following = accelerated(momentum)
        ahead = new + (momentum - 1.0) / following * (new - solution)
        solution, momentum = new, following
    return solution


def accelerated(momentum: float) -> float:
    """The next t of Beck and Teboulle's acceleration, ``(1 + sqrt(1 + 4 t^2)) / 2``."""
    return float(1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0


def solve_readout(
    network: TopKNetwork, samples: Samples, options: AnalyticOptions, progress: Progress = unwatched
) -> Statistics:
    """Set an analytic readout to the solution on the network's own codes; returns the statistics it solves."""
    statistics = calibrate(network, samples.x, samples.y, progress=progress).statistics
    assert statistics is not None
    readout, _ = solve_rounded(statistics, options, "float32")
    assert readout.bias is not None
    network.readout_weight.data = torch.from_numpy(readout.weights)
    network.readout_bias = torch.from_numpy(readout.bias)
    return statistics
