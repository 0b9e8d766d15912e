"""A hidden layer with Top-K inhibition (Bricken et al., ICLR 2023)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ssd_edge.model.linear import relu_linear
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import Activation
from ssd_edge_runtime.state import COSINE_EPSILON


class TopKLayer(nn.Module):
    """``a = relu(W x)``, ``z = relu(a - g I)``, I the (k+1)-th largest of ``a``, taken as a constant.

    ``g_i = clip(-1 + 2 c_i / s, -1, 1)`` is the GABA switch: neuron i excites before it has been active s / 2
    times and inhibits fully from s on. At inference, and where ``switch`` is None, inhibition is complete: g = 1.
    """

    weight: nn.Parameter
    """W, float32 (n, d)."""
    mask: Tensor | None
    """bool (n, d), the weights kept by pruning; None for all."""
    inhibition_count: Tensor
    """int64 (n,), c: in how many training samples each neuron fired."""
    activation_count: Tensor
    """int64 (n,), in how many counted samples each neuron fired."""
    task_count: Tensor
    """int64 (n,), the same since the last task boundary."""
    class_count: Tensor
    """int64 (classes, n), the same per class."""

    def __init__(
        self,
        weight: Tensor,
        k: int,
        *,
        classes: int = 0,
        mask: Tensor | None = None,
        activation: Activation = "plain",
    ) -> None:
        super().__init__()
        hidden = weight.shape[0]
        OptionError.unless(1 <= k < hidden, f"k must be between 1 and hidden - 1 ({hidden - 1}), got {k}")
        self.k = k
        self.activation = activation
        self.switch: float | None = None
        """s; None where inhibition is complete from the start."""
        self.sparse_backward = False
        """Leave the gradient of ``weight`` as active rows alone; see ``relu_linear``."""
        self.weight = nn.Parameter(weight.detach().clone().float())
        self.register_buffer("mask", mask)
        for name in ("inhibition_count", "activation_count", "task_count"):
            self.register_buffer(name, torch.zeros(hidden, dtype=torch.int64))
        self.register_buffer("class_count", torch.zeros(classes, hidden, dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Codes z, float32 (N, n), of float32 (N, d)."""
        return self.inhibit(self.activate(x))

    def activate(self, x: Tensor) -> Tensor:
        """``a = relu(W x)``, float32 (N, n), cosine: over lengths: the activations before the Top-K."""
        return self.over_lengths(relu_linear(x, self.weight, sparse=self.sparse_backward), x)

    def over_lengths(self, a: Tensor, x: Tensor) -> Tensor:
        """With the cosine activation ``a`` over the length of what each row sees of ``x``, else ``a``."""
        if self.activation == "plain":
            return a
        squares, mask = x * x, self.mask
        seen = squares.sum(1, keepdim=True) if mask is None else functional.linear(squares, mask.float())
        return a / torch.sqrt(seen + COSINE_EPSILON)

    def inhibit(self, a: Tensor, *, fully: bool = False) -> Tensor:
        """``z = relu(a - g I)``, float32 (N, n); ``fully``: g = 1, also while training."""
        inhibition = self.inhibition(a.detach())
        if self.training and self.switch is not None and not fully:
            inhibition = inhibition * self.gate(self.switch)
        return torch.relu(a - inhibition)

    def inhibition(self, a: Tensor) -> Tensor:
        """I, float32 (N, 1): the (k+1)-th largest of each row of float32 (N, n)."""
        if self.k == a.shape[1] - 1:
            return a.amin(dim=1, keepdim=True)
        if a.device.type == "cpu":
            # The same number as below, which torch finds two to three times slower here.
            place = a.shape[1] - self.k - 1
            return torch.from_numpy(np.partition(a.numpy(), place, axis=1)[:, place : place + 1].copy())
        return torch.topk(a, self.k + 1, dim=1).values[:, -1:]

    def gate(self, switch: float) -> Tensor:
        """``g = clip(-1 + 2 c / s, -1, 1)``, float32 (n,)."""
        return (self.inhibition_count * (2.0 / switch) - 1.0).clamp(-1.0, 1.0)

    def speed(self, protect: float) -> Tensor | None:
        """How far each row moves in a step, float32 (n, 1), by its neuron's frequency in past tasks; None: freely.

        ``1 / (1 + f / protect)``, ``f_i = k c_i / sum c``, c counted over past tasks.
        """
        past = (self.activation_count - self.task_count).float()
        if not protect or not bool(past.any()):
            return None
        return 1.0 / (1.0 + past[:, None] * (self.k / (past.double().sum() * protect)).float())

    def frequency(self, samples: int) -> Tensor:
        """Share of ``samples`` counted samples in which each neuron fired, float64 (n,)."""
        return self.activation_count.double() / max(1, samples)

    def apply_mask(self) -> None:
        """Set pruned weights to zero."""
        if self.mask is not None:
            with torch.no_grad():
                self.weight.mul_(self.mask)
