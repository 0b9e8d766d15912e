"""Pictures of any size (of Pillow, in files, uint8 arrays) as the samples that a model takes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.input_facts import Fit, is_image
from ssd_edge_runtime.serving.images import as_pixels, read_image
from ssd_edge_runtime.serving.shapes import described, orders

COLORS = (1, 3, 4)
"""Channels of a picture: gray, color, and color that is transparent in part."""
Shape = tuple[int, ...]


def read_pictures(x: Any, input_shape: Shape, fit: Fit | None) -> Float32 | None:
    """Samples float32 (N, *input_shape) of pictures, None where ``x`` is no picture and no list of them.

    ``x``: an image of Pillow's, the path of one, a list of these, or a uint8 array of pictures in another size
    than the model's: H x W, H x W x C, or several. ``fit``: how they come to the size; None: they must have it.
    Raises EdgeModelError, and OSError for a file that cannot be opened.
    """
    each = list(x) if isinstance(x, list | tuple) else [x]
    if each and all(_is_picture(one) for one in each):
        EdgeModelError.unless(
            is_image(input_shape), f"the model takes no pictures: samples must have shape {described(input_shape)}"
        )
        return np.stack([_read(one, input_shape, fit) for one in each])
    if isinstance(x, np.ndarray) and x.dtype == np.uint8 and fit is not None:
        return _of_array(x, input_shape, fit)
    return None


def _is_picture(x: Any) -> bool:
    return isinstance(x, str | PathLike) or (hasattr(x, "getexif") and hasattr(x, "convert"))


def _read(picture: Any, shape: Shape, fit: Fit | None) -> Float32:
    """One picture, (C, H, W), in as many channels as the model has."""
    is_path = isinstance(picture, str | PathLike)
    take: Callable[..., Float32] = partial(read_image, Path(picture)) if is_path else partial(as_pixels, picture)
    try:
        pixels = take(channels=shape[0], fit=fit)
    except DataError as error:
        raise EdgeModelError(str(error)) from error
    if pixels.shape != shape:
        found, wanted = (f"{width} x {height}" for _, height, width in (pixels.shape, shape))
        raise EdgeModelError(f"the picture has {found} pixels, the model takes {wanted}")
    return pixels


def _of_array(x: NDArray[np.uint8], shape: Shape, fit: Fit) -> Float32 | None:
    """Pictures of another size; None where they have the model's, or are no pictures."""
    if any(x.shape[skip:] == order for order in orders(shape) for skip in (0, 1)) or x.ndim not in (2, 3, 4):
        return None
    pictures = _channels_last(x, shape)
    if pictures is None or pictures.size == 0:
        return None
    from PIL import Image

    each = [picture[..., 0] if picture.shape[-1] == 1 else picture for picture in pictures]
    return np.stack([_read(Image.fromarray(np.ascontiguousarray(one)), shape, fit) for one in each])


def _channels_last(x: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8] | None:
    """(N, H, W, C), of what may be that, one of it, or without channels; or with channels first.

    Raises EdgeModelError where it could be read in two ways.
    """
    if x.ndim == 2:
        return x[None, ..., None]
    last, first = x.shape[-1] in COLORS, x.shape[-3] in COLORS
    if last and first:
        found = " x ".join(map(str, x.shape[-3:]))
        raise EdgeModelError(
            f"{found} may be channels first or channels last: samples must have shape {described(shape)}"
        )
    if last:
        return x if x.ndim == 4 else x[None]
    if x.ndim == 3 and not first:
        return x[..., None]
    if x.ndim == 3 and x.shape[0] != shape[0]:
        raise EdgeModelError(
            f"{' x '.join(map(str, x.shape))} may be channels first, or {x.shape[0]} pictures without channels: "
            f"samples must have shape {described(shape)}"
        )
    return np.moveaxis(x if x.ndim == 4 else x[None], 1, -1) if first else None
