"""Fine-tuning a pruned network to answer as the unpruned one did."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKNetwork, normalize_rows
from ssd_edge_export.passes import batches, check_samples
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import LearningOptions

MOMENTUM = 0.9
FASTER = 6.0
"""Step size in units of the training's: the target stands still, so larger steps are safe, and measured better."""
AFTER_REFIT = 0.2
"""The same after a refit, where little is left to move: steps of 1 and 6 undid what it had found."""


def fine_tune(
    student: TopKNetwork,
    teacher: TopKNetwork,
    x: Float32,
    learning: LearningOptions,
    *,
    epochs: int,
    seed: int,
    faster: float = FASTER,
    progress: Progress = unwatched,
) -> None:
    """Distill ``teacher`` into the kept weights of ``student``, in place, on x float32 (N, *input_shape).

    The loss is the KL divergence of the student's from the teacher's softmax over the classes, logits divided by
    the teacher's deviation: small logits, as this readout often has, would leave next to no gradient. No label is
    used: classes that the teacher has forgotten stay forgotten. Weights are clamped and rows renormalized as in
    training. ``learning``: how the student was trained; steps are ``faster`` times as long. ``progress`` counts
    samples, over all epochs.
    """
    check_samples(student, x)
    student.eval()
    rng = np.random.default_rng(seed)
    parameters = [*(layer.weight for layer in student.topk_layers), student.readout_weight]
    for parameter in parameters:
        parameter.requires_grad_(True)
    scale = deviation(teacher, x)
    optimizer = torch.optim.SGD(parameters, lr=faster * learning.learning_rate, momentum=MOMENTUM)
    done, total = 0, epochs * len(x)
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), learning.batch_size):
            batch = torch.from_numpy(x[order[start : start + learning.batch_size]]).to(student.device)
            optimizer.zero_grad()
            imitation(student, teacher, batch, scale).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, learning.clip_norm)
            optimizer.step()
            constrain(student, learning.nonnegative)
            done += len(batch)
            progress(done, total)


@torch.no_grad()
def deviation(teacher: TopKNetwork, x: Float32) -> float:
    """Root mean variance over samples of the teacher's logits; 1 where they are constant."""
    logits = torch.cat([teacher.readout(codes[-1]) for _, codes in batches(teacher, x)])
    return float(logits.var(dim=0, correction=0).mean().sqrt()) or 1.0


def imitation(student: TopKNetwork, teacher: TopKNetwork, x: Tensor, scale: float) -> Tensor:
    """``KL(teacher || student)`` of ``softmax(logits / scale)``, averaged over samples (N, *input_shape)."""
    with torch.no_grad():
        target = functional.log_softmax(teacher(x) / scale, dim=1)
    answer = functional.log_softmax(student(x) / scale, dim=1)
    return functional.kl_div(answer, target, reduction="batchmean", log_target=True)


@torch.no_grad()
def constrain(network: TopKNetwork, nonnegative: bool) -> None:
    """Keep pruned weights at zero, weights >= 0 where asked, and rows of length 1."""
    for layer in network.topk_layers:
        if nonnegative:
            layer.weight.clamp_min_(0.0)
        layer.apply_mask()
        layer.weight.copy_(normalize_rows(layer.weight))
    if nonnegative:
        network.readout_weight.clamp_min_(0.0)
