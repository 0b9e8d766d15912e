"""What a file tells of its inputs: the range of their values, and how pictures and rows become samples."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, isqrt
from typing import Literal, get_args

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.names import CONTROL, MAX_NAME
from ssd_edge_runtime.options import require_choice

LARGEST_PIXELS, LARGEST_RESIZED = 1 << 24, 1 << 27
"""Pixels of one image, and of one that is made smaller."""
MOST_CHANNELS = 64
"""Samples of more channels are told of as if they had one."""
ROWS = 1024
"""Samples looked at together."""

Way = Literal["crop", "pad", "stretch"]


@dataclass(frozen=True)
class Fit:
    """How images of any size come to one."""

    height: int
    width: int
    way: Way = "crop"
    """``crop`` keeps the middle, ``pad`` all of it on black, ``stretch`` all of it, out of proportion."""

    def __post_init__(self) -> None:
        require_choice("image-fit", self.way, get_args(Way))
        sides = (self.height, self.width)
        OptionError.unless(min(sides) >= 1, f"image-size must be at least 1, got {min(sides)}")
        small = self.height * self.width <= LARGEST_PIXELS
        OptionError.unless(small, f"image-size must be at most {isqrt(LARGEST_PIXELS)}, got {max(sides)}")


@dataclass(frozen=True)
class Windows:
    """How the rows of a table become samples (channels, length)."""

    length: int
    """Consecutive rows in a window."""
    stride: int
    """Rows from the start of one to the start of the next."""
    channels: tuple[str, ...] = ()
    """The columns that are measured, in the order of the channels; none: those that carry measurements."""
    group: str | None = None
    """A column whose changes no window goes across: a recording, a person, a device."""

    def __post_init__(self) -> None:
        OptionError.unless(self.length >= 1, f"window must be at least 1, got {self.length}")
        OptionError.unless(self.stride >= 1, f"stride must be at least 1, got {self.stride}")
        twice = [name for name in self.channels if self.channels.count(name) > 1]
        OptionError.unless(not twice, f"channels name {twice[0] if twice else ''} twice")


@dataclass(frozen=True)
class Scale:
    """Range of the values that a model was trained on, channel by channel."""

    least: tuple[float, ...]
    most: tuple[float, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    """Standard deviation."""
    whole: bool
    """Whether all of them were whole numbers."""

    @classmethod
    def of(cls, x: Float32) -> Scale:
        """Of samples float32 (N >= 1, *input_shape)."""
        channels = channels_of(x.shape[1:])
        values = x.reshape(len(x), channels, -1)
        total, square = np.zeros(channels), np.zeros(channels)
        whole = True
        for start in range(0, len(x), ROWS):
            part = values[start : start + ROWS].astype(np.float64)
            total += part.sum(axis=(0, 2))
            square += (part * part).sum(axis=(0, 2))
            whole = whole and bool((part % 1 == 0).all())
        count = values.shape[0] * values.shape[2]
        mean = total / count
        deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
        least, most = values.min(axis=(0, 2)), values.max(axis=(0, 2))
        return cls(_rounded(least), _rounded(most), _rounded(mean), _rounded(deviation), whole)


@dataclass(frozen=True)
class InputFacts:
    """All of these; None for what is not known, or does not apply."""

    scale: Scale | None = None
    image_fit: Way | None = None
    """How pictures come to the size that the model takes."""
    windows: Windows | None = None

    def fit(self, input_shape: tuple[int, ...]) -> Fit | None:
        """What is done to pictures."""
        return None if self.image_fit is None else Fit(input_shape[1], input_shape[2], self.image_fit)

    def check(self, input_shape: tuple[int, ...]) -> None:
        """Raise EdgeModelError unless they are of samples of this shape."""
        if self.scale is not None:
            _check_scale(self.scale, channels_of(input_shape))
        EdgeModelError.unless(
            self.image_fit is None or is_image(input_shape),
            f"inputs.image_fit goes with images, and samples are {input_shape}",
        )
        windows = self.windows
        if windows is not None:
            shape = (len(windows.channels) or input_shape[0], windows.length)
            EdgeModelError.unless(
                shape == input_shape, f"inputs.windows makes samples of {shape}, the model takes {input_shape}"
            )
            for name in (*windows.channels, *([] if windows.group is None else [windows.group])):
                good = 0 < len(name) <= MAX_NAME and CONTROL.search(name) is None
                EdgeModelError.unless(good, f"inputs.windows: {name[:80]!r} cannot be the name of a column")


UNKNOWN = InputFacts()
"""Of files that tell nothing."""


def channels_of(input_shape: tuple[int, ...]) -> int:
    """How many channels a sample of this shape has."""
    channels = input_shape[0] if len(input_shape) > 1 else 1
    return channels if channels <= MOST_CHANNELS else 1


def is_image(input_shape: tuple[int, ...]) -> bool:
    """Whether samples may be pictures: gray or of three colors, height, width."""
    return len(input_shape) == 3 and input_shape[0] in (1, 3)


def _check_scale(scale: Scale, channels: int) -> None:
    for column in ("least", "most", "mean", "deviation"):
        values = getattr(scale, column)
        EdgeModelError.unless(
            len(values) == channels, f"inputs.scale.{column} must have {channels} numbers, got {len(values)}"
        )
        EdgeModelError.unless(all(map(isfinite, values)), f"inputs.scale.{column} must be finite")
    ordered = all(low <= high for low, high in zip(scale.least, scale.most, strict=True))
    EdgeModelError.unless(ordered, "inputs.scale.least must not be above inputs.scale.most")
    EdgeModelError.unless(min(scale.deviation) >= 0, "inputs.scale.deviation must not be negative")


def _rounded(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> tuple[float, ...]:
    """To six digits, which is short in a file."""
    return tuple(float(f"{value:.6g}") for value in values)
