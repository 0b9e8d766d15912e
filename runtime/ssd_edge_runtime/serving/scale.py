"""Whether values are in the range that a model was trained on; nothing but pixels is guessed, and that is said."""

from __future__ import annotations

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import ScaleWarning
from ssd_edge_runtime.input_facts import Scale, is_image

BEYOND, SHARE = 0.5, 0.01
"""Values beyond the range by half of it are told where they are so many of a channel's."""
ABSURD = 10.0
"""A value beyond it by so many times the range is told alone."""
FAINT = 100.0
"""So much smaller than those trained on are values in another unit, or divided twice."""
SIGNED = 0.25
"""Images of a model whose range reaches so far below 0, as a share of it, have values below 0."""
BRIGHT = 128
"""Pixels of whole numbers are known for such by one of at least this."""
EDGE = 0.95
"""Values of a variance that is so near the largest in their range were two to begin with."""


def brought_to(scale: Scale, x: Float32, input_shape: tuple[int, ...]) -> tuple[Float32, ScaleWarning | None]:
    """Samples (N, d) as the model takes them, and what to tell of them.

    Whole numbers from 0 to 255 are divided by 255 where the model takes images and was trained on 0 to 1. All else
    stays as it is.
    """
    if is_image(input_shape):
        scale = _of_all_channels(scale)
    if len(scale.least) == 1:
        least, most = np.atleast_1d(x.min()), np.atleast_1d(x.max())
    else:
        values = x.reshape(len(x), len(scale.least), -1)
        least, most = values.min(axis=(0, 2)), values.max(axis=(0, 2))
    if _are_pixels(scale, x, float(least.min()), float(most.max()), input_shape):
        told = f"whole numbers from {least.min():g} to {most.max():g} were divided by 255, as uint8 is"
        return x / np.float32(255), ScaleWarning(f"{told}: {_trained(scale)}", "pixels")
    return x, _remark(scale, x, least, most, input_shape)


def _are_pixels(scale: Scale, x: Float32, least: float, most: float, input_shape: tuple[int, ...]) -> bool:
    if not (least >= 0 and BRIGHT <= most <= 255 and is_image(input_shape)):
        return False
    return min(scale.least) >= 0 and max(scale.most) <= 1 and bool((x % 1 == 0).all())


def _remark(
    scale: Scale, x: Float32, least: Float32, most: Float32, input_shape: tuple[int, ...]
) -> ScaleWarning | None:
    at = _outside(scale, x, least, most, pictures=is_image(input_shape))
    if at is not None:
        where = f"channel {at + 1}: " if len(scale.least) > 1 else ""
        told = f"{where}values from {least[at]:g} to {most[at]:g}, and {_trained(scale, at)}"
        return ScaleWarning(told, f"outside {at}")
    low, high = float(least.min()), float(most.max())
    largest, trained = max(-low, high), max(-min(scale.least), max(scale.most))
    fractions = scale.whole and largest <= 1 < trained / 4 and bool((x % 1 != 0).any())
    if 0 < largest * FAINT <= trained or fractions:
        return ScaleWarning(f"values from {low:g} to {high:g}, and {_trained(scale)}", "faint")
    if is_image(input_shape) and low >= 0 > min(scale.least) + SIGNED * (max(scale.most) - min(scale.least)):
        return ScaleWarning(f"values from {low:g} to {high:g}, none below 0, and {_trained(scale)}", "signed")
    if (low, high) == (0, 1) == (min(scale.least), max(scale.most)) and _two_valued(x) and not _is_two(scale):
        return ScaleWarning(f"values are 0 and 1 alone, and {_trained(scale)}, and between", "mask")
    return None


def _of_all_channels(scale: Scale) -> Scale:
    """Colors are measured alike, so that one may take the range of another."""
    mean = float(np.mean(scale.mean))
    spread = float(np.mean(np.square(scale.deviation) + np.square(scale.mean)))
    deviation = max(spread - mean**2, 0.0) ** 0.5
    return Scale((min(scale.least),), (max(scale.most),), (mean,), (deviation,), scale.whole)


def _trained(scale: Scale, at: int | None = None) -> str:
    chosen = slice(None) if at is None else slice(at, at + 1)
    return f"the model was trained on {min(scale.least[chosen]):g} to {max(scale.most[chosen]):g}"


def _outside(scale: Scale, x: Float32, least: Float32, most: Float32, *, pictures: bool) -> int | None:
    """The first channel with many values far outside its range, or with one that is absurd."""
    low, high = np.array(scale.least), np.array(scale.most)
    if pictures and low >= 0 and high <= 1:  # Those trained on may have been dark.
        low, high = np.zeros(1), np.ones(1)
    span = np.where(high > low, high - low, np.maximum(np.abs(high), 1e-6))
    over = np.maximum(most - high, low - least) / span
    for at in np.flatnonzero(over > BEYOND).tolist():
        values = x.reshape(len(x), len(low), -1)[:, at]
        margin = BEYOND * span[at]
        far = (values < low[at] - margin) | (values > high[at] + margin)
        if over[at] > ABSURD or far.mean() > SHARE:
            return int(at)
    return None


def _two_valued(x: Float32) -> bool:
    return all(((part == 0) | (part == 1)).all() for part in (x[0], x))


def _is_two(scale: Scale) -> bool:
    """Whether what was trained on lay at the ends of its range: there its variance is the largest there can be."""
    pooled = _of_all_channels(scale)
    mean, deviation = pooled.mean[0], pooled.deviation[0]
    return deviation**2 >= EDGE * mean * (1 - mean)
