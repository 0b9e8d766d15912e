"""Samples in the order of axes that a model takes, from the orders in which people hold them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.errors import EdgeModelError


def as_rows(array: NDArray[Any], input_shape: tuple[int, ...]) -> NDArray[Any]:
    """(N, d), of ``array``: (N, *input_shape), (N, d), or a single sample of either shape.

    Samples with channels (C x T, C x H x W) may also have these last, and images of one channel (N, H, W) none;
    where an array could be read in two ways, it is as ``input_shape`` says. Raises EdgeModelError for any other.
    """
    width = prod(input_shape)
    for shape in orders(input_shape):
        single = array.shape == shape
        if single or (array.ndim and array.shape[1:] == shape):
            batch = array[None] if single else array
            if len(batch) == 0:
                raise EdgeModelError("no samples given")
            if len(shape) == len(input_shape) and shape != input_shape:
                batch = np.moveaxis(batch, -1, 1)
            return batch.reshape(len(batch), width)
    raise EdgeModelError(f"samples must have shape {described(input_shape)}, got {array.shape}")


def orders(input_shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of one sample, the model's own first."""
    orders = [input_shape, (prod(input_shape),)]
    if len(input_shape) in (2, 3):
        orders.append((*input_shape[1:], input_shape[0]))
    if len(input_shape) == 3 and input_shape[0] == 1:
        orders.append(input_shape[1:])
    return orders


def told(input_shape: tuple[int, ...]) -> str:
    """Of one sample: ``3 x 8 x 8, channels first, or 8 x 8 x 3, channels last``."""
    own, _, *others = (" x ".join(map(str, shape)) for shape in orders(input_shape))
    return f"{own}, channels first, or {others[0]}, channels last" if others and input_shape[0] > 1 else own


def described(input_shape: tuple[int, ...]) -> str:
    """``(N, 3 x 8 x 8), channels first, (N, 8 x 8 x 3), channels last, or (N, 192)``."""
    own, flat, *others = (f"(N, {' x '.join(map(str, shape))})" for shape in orders(input_shape))
    if own == flat:
        return own
    if not others or input_shape[0] == 1:
        return f"{own} or {flat}"
    return f"{own}, channels first, {others[0]}, channels last, or {flat}"
