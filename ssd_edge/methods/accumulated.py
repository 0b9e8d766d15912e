"""Steps divided by what an entry's own gradients have summed to, shared by Adagrad and CLASSP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from ssd_edge.methods.method import Method
from ssd_edge.methods.quadratic import grown
from ssd_edge.model import RowGradient


class Accumulated(Method):
    """Base of step rules with one number S per entry, from which ``direction`` makes the step.

    Only rows with a gradient are visited: a neuron that is silent stands still, and so does its S.
    """

    steps_by_itself: ClassVar[bool] = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sums: dict[str, Tensor] = {}
        """S by parameter name."""

    def direction(self, gradient: Tensor, sums: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        """What the entries move along, times ``lr``, and the new S; all of one shape."""
        raise AssertionError("a rule says how entries move")

    def direct(
        self, gradients: Mapping[str, RowGradient | Tensor], weights: Mapping[str, Tensor], lr: float
    ) -> None:
        """Put the rule's step in the gradients' place."""
        for name, gradient in gradients.items():
            sums = grown(self.sums.get(name), weights[name])
            if isinstance(gradient, RowGradient):
                rows = slice(None) if gradient.rows is None else gradient.rows
                gradient.values, sums[rows] = self.direction(gradient.values, sums[rows], lr)
            else:
                step, sums = self.direction(gradient, sums, lr)
                gradient.copy_(step)
            self.sums[name] = sums

    def tensors(self) -> dict[str, Tensor]:
        """S of every parameter."""
        return dict(self.sums)

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take it back."""
        self.sums = {name: tensor.clone() for name, tensor in tensors.items()}
