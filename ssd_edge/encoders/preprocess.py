"""From a data set's raw images to what a torchvision model was trained on, as part of the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class Preset:
    """What the weights of a model expect, as ``weights.transforms()`` of torchvision does it."""

    resize: int
    """The shorter side after resizing, in pixels."""
    crop: int
    """Side of the square cut from the middle."""
    mean: Sequence[float]
    """Per channel, subtracted from values between 0 and 1."""
    std: Sequence[float]
    """Per channel, what is left is divided by it."""
    interpolation: str = "bilinear"
    """``bilinear`` or ``bicubic``, antialiased."""


class Preprocess(nn.Module):
    """``(A x B - mean) / std`` of images float32 (N, 1 or 3, height, width) in 0..1, gray repeated.

    Resizing and cropping are linear and separable, so A and B are matrices: any runtime computes them alike.
    """

    rows: Tensor
    columns: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, input_shape: Sequence[int], preset: Preset, name: str) -> None:
        super().__init__()
        told = " x ".join(map(str, input_shape))
        OptionError.unless(
            len(input_shape) == 3 and input_shape[0] in (1, 3),
            f"{name} takes images, 1 or 3 channels x height x width; the data set's samples are {told}",
        )
        self.gray = input_shape[0] == 1
        height, width = input_shape[1:]
        tall, wide = resized(height, width, preset.resize)
        self.register_buffer("rows", resizing(height, tall, preset))
        self.register_buffer("columns", resizing(width, wide, preset).T.contiguous())
        self.register_buffer("mean", torch.tensor(preset.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(preset.std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """float32 (N, 3, crop, crop)."""
        x = self.rows @ x @ self.columns
        x = torch.cat([x, x, x], dim=1) if self.gray else x
        return (x - self.mean) / self.std


def resized(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width with the shorter side brought to ``shorter``, as ``torchvision.transforms.Resize``."""
    if height <= width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def resizing(length: int, wanted: int, preset: Preset) -> Tensor:
    """The matrix, float32 (crop, length), that resizes a line of pixels to ``wanted`` and keeps its middle."""
    unit = torch.eye(length)[None, None]
    matrix = functional.interpolate(unit, (wanted, length), mode=preset.interpolation, antialias=True)[0, 0]
    first = round((wanted - preset.crop) / 2)
    return matrix[first : first + preset.crop].contiguous()
