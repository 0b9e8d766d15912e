"""What a weight is worth: one array like W per criterion; larger is kept first."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32, Float64

NEVER_ACTIVE = 1e-9
"""Weights of neurons that never fire rank among themselves by the mean input, below all others."""


def activity(weight: Float32, active_input: Float64, mean_input: Float64) -> Float64:
    """Activation frequency of neuron i x |w_ij| x mean |x_j| while i is active, float64 (n, d).

    ``active_input`` (n, d): the sum of ``|x_j|`` over the samples in which i fired, divided by all samples, which
    is frequency x mean. ``mean_input`` (d,): mean ``|x_j|`` over all samples.
    """
    silent = active_input.max(axis=1) == 0.0
    contribution = np.where(silent[:, None], NEVER_ACTIVE * mean_input, active_input)
    return np.abs(weight) * contribution


def magnitude(weight: Float32) -> Float64:
    """``|w_ij|``, float64 (n, d)."""
    return np.abs(weight).astype(np.float64)


def sampled(weight: Float32, rng: np.random.Generator) -> Float64:
    """Draws each row's inputs without replacement, with probability in proportion to ``sqrt |w_ij|``.

    The largest values of ``log p + Gumbel noise`` are such a draw (Vieira 2014; Kool et al., ICML 2019).
    Float64 (n, d); ``-inf`` where a weight is zero.
    """
    with np.errstate(divide="ignore"):
        log_p = 0.5 * np.log(np.abs(weight).astype(np.float64))
    return log_p + rng.gumbel(size=weight.shape)


def random(weight: Float32, rng: np.random.Generator) -> Float64:
    """Uniform at random among the weights that are not zero, which come first; float64 (n, d)."""
    scores: Float64 = rng.random(weight.shape) + (weight != 0.0)
    return scores
