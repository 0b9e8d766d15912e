"""The temperature of the probabilities, fitted on samples that the readout was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float64

LOWEST, HIGHEST = 1e-3, 1e3


def fit_temperature(logits: NDArray[np.floating], y: NDArray[np.integer]) -> float:
    """T that minimizes the mean cross-entropy of ``softmax(logits / T)`` (Guo et al., ICML 2017).

    ``logits`` (N, classes), ``y`` (N,) class indices. The search is over log T in [.001, 1000]; 1 for no samples
    or a single class, where any T is as good.
    """
    from scipy.optimize import minimize_scalar

    if len(y) == 0 or logits.shape[1] < 2:
        return 1.0
    scores = np.asarray(logits, np.float64)
    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(
        lambda log_t: cross_entropy(scores / np.exp(log_t), y), bounds=bounds, method="bounded"
    )
    return float(np.exp(found.x))


def cross_entropy(logits: Float64, y: NDArray[np.integer]) -> float:
    """Mean of ``logsumexp(logits) - logits[y]``."""
    top = logits.max(axis=1)
    log_sum = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float(np.mean(log_sum - logits[np.arange(len(y)), y]))


def calibration_error(logits: Float64, y: NDArray[np.integer], bins: int = 15) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over equal bins, weighted by samples."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == y
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(y))
