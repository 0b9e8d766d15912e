"""Distillation terms of SSD and their gradients (Xue et al., arXiv 2512.15267)."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.network.forward import log_softmax
from ssd_edge_runtime.options import KLDirection


def kl_gradient(student: Float32, teacher: Float32, temperature: float, direction: KLDirection) -> Float32:
    """Gradient by ``student`` of ``T^2 KL`` between softmax(student / T) and softmax(teacher / T), mean over N.

    Both float32 (N, m) -> float32 (N, m). With p = softmax(student / T) and q = softmax(teacher / T):
    "student-teacher" is KL(p || q), gradient ``T p (log p/q - KL)``; "teacher-student" KL(q || p), ``T (p - q)``.
    """
    log_p, log_q = log_softmax(student / temperature), log_softmax(teacher / temperature)
    p: Float32 = np.exp(log_p)
    gradient: Float32
    if direction == "teacher-student":
        gradient = p - np.exp(log_q)
    else:
        ratio = log_p - log_q
        gradient = p * (ratio - np.add.reduce(p * ratio, axis=1, keepdims=True))
    gradient *= np.float32(temperature / len(student))
    return gradient
