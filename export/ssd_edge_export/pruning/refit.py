"""A trained readout for pruned rows: the unpruned network's activations and logits, in closed form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ssd_edge.model import TopKNetwork
from ssd_edge_export.pruning.activity import LayerActivity, batches
from ssd_edge_export.reconstruct import fit_rows
from ssd_edge_runtime.arrays import Float32

RHO = 1e-4
"""Regularizer: ``RHO * trace(G) / n`` on the diagonal."""
STEPS = 500


def imitate(
    student: TopKNetwork,
    teacher: TopKNetwork,
    x: Float32,
    activities: Sequence[LayerActivity],
    *,
    nonnegative: bool,
) -> None:
    """Fit the student's kept weights, then its V, to the teacher's answers on x float32 (N, *input_shape).

    ``activities``: the teacher's. No label is used.
    """
    fit_rows(student, teacher, x, [seen.activation_count for seen in activities], nonnegative=nonnegative)
    refit_readout(student, teacher, x, nonnegative=nonnegative)


@torch.no_grad()
def refit_readout(student: TopKNetwork, teacher: TopKNetwork, x: Float32, *, nonnegative: bool) -> None:
    """Set the student's V to the least-squares fit of its codes to the teacher's logits on (N, *input_shape).

    ``V = B (G + lam I)^-1`` with ``G = sum z z^T`` of the student's codes and ``B = sum o z^T`` of the teacher's
    logits o; with ``nonnegative`` the minimum over V >= 0, as learning on the device keeps it. No label is used.
    """
    n, device = student.readout_weight.shape[1], student.device
    gram = torch.zeros(n, n, dtype=torch.float64, device=device)
    cross = torch.zeros(len(student.classes), n, dtype=torch.float64, device=device)
    for (_, own), (_, other) in zip(batches(student, x), batches(teacher, x), strict=True):
        fired = own[-1].any(dim=0).nonzero()[:, 0]
        z = own[-1][:, fired]
        gram[fired[:, None], fired] += (z.T @ z).double()
        cross[:, fired] += (teacher.readout(other[-1]).T @ z).double()
    gram.diagonal().add_(RHO * gram.trace() / n)
    if float(gram.diagonal().min()) <= 0.0:
        return
    weights = nonnegative_solution(gram, cross) if nonnegative else torch.linalg.solve(gram, cross.T).T
    student.readout_weight.copy_(weights)


def nonnegative_solution(gram: Tensor, cross: Tensor, steps: int = STEPS) -> Tensor:
    """``argmin_{V >= 0} tr(V G V^T) / 2 - tr(V B^T)``, float64 (classes, n), by accelerated projected gradient.

    Beck and Teboulle, SIAM J. Imaging Sciences 2009; started at zero, ``steps`` steps of 1 / largest eigenvalue.
    """
    step = 1.0 / float(torch.linalg.eigvalsh(gram)[-1])
    solution = torch.zeros_like(cross)
    ahead, momentum = solution, 1.0
    for _ in range(steps):
        new = (ahead - step * (ahead @ gram - cross)).clamp_min(0.0)
        following = (1.0 + (1.0 + 4.0 * momentum**2) ** 0.5) / 2.0
        ahead = new + (momentum - 1.0) / following * (new - solution)
        solution, momentum = new, following
    return solution
