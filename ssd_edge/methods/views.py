"""Views: local Top-K features learned on the base tasks by telling classes and turns of an image apart.

Predicting how an image was turned needs no labels and gives features that serve other classes too (RotNet,
Gidaris et al., ICLR 2018); here it is joined with the base classes' labels. Receptive fields are local and start
as whitened differences of samples, after Coates and Ng (ICML 2011).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.encoders.augment import turn
from ssd_edge.methods.method import Method
from ssd_edge.model import TopKNetwork, normalize_rows
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import ReadoutKind


@dataclass(frozen=True)
class ViewsOptions:
    """Chosen on a hold-out of Split Fashion-MNIST's first two tasks."""

    field: float = 0.05
    """Largest share of the image that a neuron sees: the density of its row."""
    epochs: int = 40
    """Passes over the base tasks; the step size falls to zero along a cosine."""
    lr: float = 3.0
    """First step size, for rows of W of length 1."""
    scale: float = 10.0
    """The logits' factor: codes are short vectors."""
    shift: int = 3
    """Images are moved by up to so many pixels, both ways."""
    whitening: float = 0.5
    """Power of the inverse covariance that the first rows are whitened with; 1 is full, 0 none."""
    batch_size: int = 128
    """Samples per step."""

    def __post_init__(self) -> None:
        OptionError.unless(0.0 < self.field <= 1.0, f"field must be in (0, 1], got {self.field}")
        for name in ("epochs", "shift"):
            OptionError.unless(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        for name in ("lr", "scale", "batch_size"):
            OptionError.unless(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")


class Views(Method):
    """One hidden layer of local receptive fields; W is learned before the first task and then fixed."""

    name: ClassVar[str] = "views"
    is_network: ClassVar[bool] = True
    own_supports: ClassVar[bool] = True
    readout: ClassVar[ReadoutKind] = "analytic"
    learns_features: ClassVar[bool] = False
    needs_images: ClassVar[bool] = True
    lr: ClassVar[float] = 0.5
    readout_init: ClassVar[float | None] = 0.0
    Options: ClassVar[type[ViewsOptions]] = ViewsOptions
    options: ViewsOptions

    @classmethod
    def default_k(cls, hidden: int, analytic: bool) -> int:
        """A fifth of the neurons for the analytic readout."""
        return max(1, hidden // 5) if analytic else super().default_k(hidden, analytic)

    def prepare_steps(self, samples: int) -> int:
        """Steps that ``prepare`` takes."""
        return self.options.epochs * -(-samples // self.options.batch_size)

    def prepare(self, network: TopKNetwork, x: Tensor, y: Tensor, seed: int) -> Iterator[None]:
        """Learn W from the base tasks' images x, float32 (N, channels, height, width), and labels y (N,)."""
        OptionError.unless(len(network.layers) == 1, f"views has one hidden layer, got {len(network.layers)}")
        OptionError.unless(
            x.ndim == 4, f"views needs images (channels, height, width), got shape {tuple(x.shape[1:])}"
        )
        layer = network.topk_layers[0]
        generator = torch.Generator().manual_seed(seed)
        mask = local_fields(len(layer.weight), x.shape[1:], self.options.field, generator)
        first = whitened_differences(network.preprocess(x), mask, self.options.whitening, generator)
        layer.mask = mask.to(x.device)
        with torch.no_grad():
            layer.weight.copy_(first)
        yield from self.train(network, x, y, generator)

    def train(self, network: TopKNetwork, x: Tensor, y: Tensor, generator: torch.Generator) -> Iterator[None]:
        """Gradient steps on (class, turn) labels; a readout of its own, which is then dropped."""
        o, layer = self.options, network.topk_layers[0]
        turns = 4 if x.shape[2] == x.shape[3] else 2
        readout = torch.zeros(int(y.max()) * turns + turns, len(layer.weight), device=x.device, requires_grad=True)
        steps = self.prepare_steps(len(x))
        switch, layer.switch = layer.switch, None
        for step in range(steps):
            start = step % -(-len(x) // o.batch_size) * o.batch_size
            if start == 0:
                order = torch.randperm(len(x), generator=generator).to(x.device)
            chosen = order[start : start + o.batch_size]
            images, turned = turn(shifted(x[chosen], o.shift, generator), turns, generator)
            logits = o.scale * functional.linear(layer(network.preprocess(images)), readout)
            loss = functional.cross_entropy(logits, y[chosen] * turns + turned)
            rate = o.lr * (0.5 + 0.5 * math.cos(math.pi * step / steps))
            gradients = torch.autograd.grad(loss, (layer.weight, readout))
            with torch.no_grad():
                readout.sub_(rate * gradients[1])
                layer.weight.sub_(rate * gradients[0])
                layer.apply_mask()
                layer.weight.copy_(normalize_rows(layer.weight))
            yield
        layer.switch = switch


def local_fields(hidden: int, shape: torch.Size, share: float, generator: torch.Generator) -> Tensor:
    """One square at a random place per neuron, in all channels, bool (hidden, channels * height * width).

    Squares have the largest side, at least 2, whose area is at most ``share`` of the image; those at the edge
    are cut off.
    """
    channels, height, width = shape
    side = min(height, width, max(2, math.isqrt(int(share * height * width))))
    overhang = side // 3
    mask = torch.zeros(hidden, height, width, dtype=torch.bool)
    for field in mask:
        top, left = (
            int(torch.randint(-overhang, size - side + overhang + 1, (1,), generator=generator))
            for size in (height, width)
        )
        field[max(0, top) : top + side, max(0, left) : left + side] = True
    return mask[:, None].expand(-1, channels, -1, -1).reshape(hidden, -1)


def whitened_differences(u: Tensor, mask: Tensor, power: float, generator: torch.Generator) -> Tensor:
    """Rows ``S^-power (u_i - u_j)`` of two random samples in each neuron's field, float32 (hidden, d), length 1.

    S is the covariance of preprocessed samples u, float32 (N, d), in the field, plus a tenth of its mean variance.
    """
    rows = torch.zeros(mask.shape, dtype=torch.float32)
    covariance = torch.cov(u.cpu().T)
    for row, field in zip(rows, mask, strict=True):
        pair = torch.randint(len(u), (2,), generator=generator).to(u.device)
        difference = (u[pair[0]] - u[pair[1]]).cpu()[field]
        values, vectors = torch.linalg.eigh(covariance[field][:, field])
        values = values.clamp_min(0.0)
        values = (values + 0.1 * values.mean()).clamp_min(torch.finfo(values.dtype).tiny)
        row[field] = vectors @ ((vectors.T @ difference) * values**-power)
    return normalize_rows(rows)


def shifted(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """All images moved by the same random number of pixels, at most ``most`` each way, around the edges."""
    down, right = (int(n) for n in torch.randint(-most, most + 1, (2,), generator=generator))
    return torch.roll(images, (down, right), (2, 3))
