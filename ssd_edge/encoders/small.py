"""A small convolutional encoder: two stages, pooled on a grid; a third stage and a classifier only train it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssd_edge_runtime.errors import OptionError

CELLS = 16
"""Cells of the grid: 4 x 4 on images, 16 in a row on windows of a signal."""
FIRST, OTHER = 5, 3
"""Sides of the first stage's kernels, and of the others'."""


def as_images(shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width: a window (channels, length) or (length,) is an image one pixel high.

    Raises OptionError for other shapes.
    """
    if len(shape) == 3:
        return shape[0], shape[1], shape[2]
    if len(shape) == 2:
        return shape[0], 1, shape[1]
    told = " x ".join(map(str, shape))
    OptionError.unless(
        len(shape) == 1, f"an encoder is trained on images or windows of signals, not on samples of {told}"
    )
    return 1, 1, shape[0]


class SmallEncoder(nn.Module):
    """Raw samples float32 (N, *input_shape) to embeddings float32 (N, width).

    Convolution, normalization, ReLU and halving, twice; then the square root of the mean in each cell of a grid.
    Late features serve the classes trained on; these serve others too.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, input_shape: Sequence[int], width: int) -> None:
        super().__init__()
        self.image = as_images(input_shape)
        channels, *sides = self.image
        grid = grid_of(sides)
        cells = prod(grid)
        if width % cells or width < 2 * cells:
            raise OptionError(f"width must be a multiple of {cells} here, at least {2 * cells}, got {width}")
        planes = [channels, width // cells // 2, width // cells]
        stages = []
        for (before, after), kernel in zip(pairwise(planes), (FIRST, OTHER), strict=True):
            halved = [2 if side // 2 >= cell and side > 1 else 1 for side, cell in zip(sides, grid, strict=True)]
            stages += [convolution(before, after, kernel, sides), nn.MaxPool2d(tuple(halved))]
            sides = [side // step for side, step in zip(sides, halved, strict=True)]
        self.stages = nn.Sequential(*stages)
        self.planes, self.sides = planes[-1], sides
        self.register_buffer("rows", averaging(sides[0], grid[0]))
        self.register_buffer("columns", averaging(sides[1], grid[1]).T.contiguous())

    def features(self, x: Tensor) -> Tensor:
        """What the last stage makes of samples: float32 (N, planes, *sides)."""
        found: Tensor = self.stages(x.reshape(-1, *self.image))
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings."""
        return (self.rows @ self.features(x) @ self.columns).sqrt().flatten(1)


class Classifier(nn.Module):
    """What stands on the last stage while it is trained: a stage more, and a linear layer."""

    def __init__(self, encoder: SmallEncoder, classes: int) -> None:
        super().__init__()
        sides = encoder.sides
        self.grid = min(3, sides[0]), min(3, sides[1])
        self.stage = convolution(encoder.planes, 2 * encoder.planes, OTHER, sides)
        self.linear = nn.Linear(2 * encoder.planes * prod(self.grid), classes)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, float32 (N, classes)."""
        pooled = functional.adaptive_avg_pool2d(self.stage(features), self.grid)
        logits: Tensor = self.linear(pooled.flatten(1))
        return logits


def grid_of(sides: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the grid for images of these sides, CELLS in all where the image has so many pixels."""
    if sides[0] == 1:
        return 1, min(CELLS, sides[1])
    side = round(CELLS**0.5)
    return min(side, sides[0]), min(side, sides[1])


def convolution(before: int, after: int, kernel: int, sides: Sequence[int]) -> nn.Sequential:
    """Convolution, batch normalization and ReLU, size kept; along a side of one pixel the kernel is 1."""
    high, wide = (kernel if side > 1 else 1 for side in sides)
    layer = nn.Conv2d(before, after, (high, wide), padding=(high // 2, wide // 2), bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(after), nn.ReLU())


def averaging(length: int, cells: int) -> Tensor:
    """The matrix, float32 (cells, length), that averages a line of pixels in cells, as adaptive pooling does."""
    pooled: Tensor = functional.adaptive_avg_pool1d(torch.eye(length)[None], cells)[0].T.contiguous()
    return pooled
