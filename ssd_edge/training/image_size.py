"""To which size a folder's pictures are brought where nobody says: photos differ, and a network takes one size."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import TypeVar

from ssd_edge.data.folders import picture_sizes
from ssd_edge.encoders.make import picture_size
from ssd_edge.training.task_options import TaskOptions
from ssd_edge_runtime.errors import DataWarning

USUAL = 96
"""Side of the square without an encoder."""
LARGE = 256
"""A picture of more pixels than this squared is a photo, not an input; of an encoder's own size, so many times."""

T = TypeVar("T", bound=TaskOptions)
Size = int | tuple[int, int]


def with_image_size(options: T) -> T:
    """``options`` with the size that its pictures need, where it names none.

    That is the encoder's, or 96 x 96; pictures of one size that is not large stay as they are. DataWarning says
    what was decided. Raises as reading the folder and the encoder does.
    """
    encoder = getattr(options, "encoder", None)
    size = decided_size(options, encoder, getattr(options, "encoder_size", None))
    return options if size is None else dataclasses.replace(options, image_size=size)


def decided_size(options: TaskOptions, encoder: str | None = None, encoder_size: int | None = None) -> Size | None:
    """The size to bring pictures to; None: as they are, or as ``options`` says."""
    if options.image_size is not None or not Path(options.data).is_dir():
        return None
    sizes = picture_sizes(Path(options.data))
    size: Size = USUAL if encoder is None else picture_size(encoder, encoder_size)
    height, width = (size, size) if isinstance(size, int) else size
    most = LARGE**2 if encoder is None else 16 * height * width
    first = next(iter(sizes), (height, width))
    fits = first == (height, width) if isinstance(size, tuple) else first[0] * first[1] <= most
    if len(sizes) <= 1 and fits:
        return None
    why = "differ in size" if len(sizes) > 1 else f"have {first[1]} x {first[0]} pixels"
    how = {"crop": "its middle", "pad": "all of it, on black", "stretch": "all of it"}[options.image_fit]
    told = f"{options.data}: the pictures {why}; each is brought to {width} x {height}, {how}"
    warnings.warn(f"{told} (--image-size, --image-fit)", DataWarning, stacklevel=4)
    return size
