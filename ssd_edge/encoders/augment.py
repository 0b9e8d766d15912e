"""Changes to images that leave their class alone; each draws from the generator it is given."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def moved(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Each of (N, channels, height, width) moved by its own random number of pixels, zeros coming in.

    ``share``: of each side, the farthest.
    """
    for side in (2, 3):
        length, count = images.shape[side], len(images)
        most = round(share * length)
        offset = torch.randint(2 * most + 1, (count, 1), generator=generator) + torch.arange(length)
        padding = (0, 0, most, most) if side == 2 else (most, most)
        index = offset.view(count, 1, -1, 1) if side == 2 else offset.view(count, 1, 1, -1)
        images = functional.pad(images, padding).gather(side, index.expand(images.shape))
    return images


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Each of (N, channels, height, width), or its mirror image, left and right swapped, by chance."""
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen.view(-1, 1, 1, 1), images.flip(3), images)


def turn(images: Tensor, turns: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image turned by a random one of ``turns`` angles (4: quarters, 2: halves); which, int64 (N,)."""
    number = torch.randint(turns, (len(images),), generator=generator).to(images.device)
    result = images.clone()
    for n in range(1, turns):
        result[number == n] = torch.rot90(images[number == n], n * 4 // turns, (2, 3))
    return result, number
