"""What the teacher says about a batch, and the gradient of the loss by the student's logits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.gradient.distill import kl_gradient
from ssd_edge_runtime.gradient.teacher import Teacher
from ssd_edge_runtime.network.forward import LayerPass, cosine_scale, hidden, softmax
from ssd_edge_runtime.options import DistillOptions
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.topk import top_k
from ssd_edge_runtime.state import ModelState


@dataclass(eq=False)
class Taught:
    """The teacher's own forward pass: what is distilled of it."""

    hidden: list[Float32]
    """Per layer, z (or a) of the selected neurons, (N, n_distill)."""
    selected: list[NDArray[np.int32]]
    """Per layer, those neurons."""
    place: list[NDArray[np.int32]]
    """Per layer, where each neuron stands among those, or -1."""
    logits: Float32
    """(N, teacher classes)."""


def teacher_forward(
    teacher: Teacher, state: ModelState, passes: list[LayerPass], options: DistillOptions
) -> Taught:
    """Run the teacher on the student's batch; of its first layer only the changed rows are computed."""
    outputs, codes, same = [], passes[0].codes, True
    for number, (layer, own) in enumerate(zip(state.layers, passes, strict=True)):
        u, h, scale = own.u, own.h, own.scale
        if not same:
            u = codes.to_columns()
            h = hidden(layer.weights, u)
            if scale is not None:
                scale = cosine_scale(layer.weights, u)
                h *= scale
        old = teacher.hidden(number, h, u, scale)
        same = same and old is own.h
        same = same and not own.gated
        codes = own.codes if same else top_k(old, layer.k)
        chosen = teacher.selected[number]
        before = options.hidden_stage == "before"
        outputs.append(
            np.maximum(old[chosen].T, 0.0) if before else dense_part(codes, teacher.place[number], len(chosen))
        )
    logits = teacher.read_out(codes, state.readout.weights.T)
    return Taught(outputs, teacher.selected, teacher.place, logits)


def dense_part(codes: Codes, place: NDArray[np.int32], count: int) -> Float32:
    """``z`` of ``count`` neurons, float32 (N, count); ``place`` (n,): where each stands among them, or -1."""
    at = place.take(codes.neurons)
    inside = (at >= 0).nonzero()[0]
    dense = np.zeros((codes.shape[0], count), np.float32)
    dense[codes.samples().take(inside), at.take(inside)] = codes.values.take(inside)
    return dense


def logit_gradient(
    logits: Float32, labels: NDArray[np.intp], taught: Taught | None, distill: DistillOptions | None
) -> Float32:
    """Gradient of the loss by the logits, float32 (N, classes), hidden terms aside."""
    gradient = softmax(logits)
    gradient[np.arange(len(labels)), labels] -= 1.0
    if len(labels) > 1:
        gradient /= np.float32(len(labels))
    if taught is None or distill is None:
        return gradient
    gradient *= np.float32(distill.alpha)
    target = taught.logits
    if distill.logit_scope == "all" and target.shape[1] < logits.shape[1]:
        target = np.zeros_like(logits)
        target[:, : taught.logits.shape[1]] = taught.logits
    scope = target.shape[1]
    weight = np.float32((1.0 - distill.alpha) * (1.0 - distill.lambda_hidden))
    if scope:
        gradient[:, :scope] += weight * kl_gradient(logits[:, :scope], target, distill.temperature, distill.kl)
    return gradient
