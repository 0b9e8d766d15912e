"""What a continual-learning method is: a few hooks around an ordinary training loop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor

from ssd_edge.model import TopKNetwork

if TYPE_CHECKING:
    from ssd_edge_runtime.state import ReadoutKind


@dataclass(frozen=True)
class NoOptions:
    """A method without options of its own."""


@dataclass
class Batch:
    """One step's samples and what the network made of them; everything is on the training device."""

    u: Tensor
    """Preprocessed samples, float32 (N, d)."""
    y: Tensor
    """Labels, int64 (N,), indices into the network's classes."""
    activations: list[Tensor]
    """Per hidden layer ``a``, before the Top-K, float32 (N, n)."""
    codes: list[Tensor]
    """Per hidden layer ``z``, after it."""
    logits: Tensor
    """float32 (N, classes)."""


@dataclass
class Task:
    """One task's training data and the models around it."""

    number: int
    """From 1."""
    u: Tensor
    """All its preprocessed samples, float32 (N, d)."""
    y: Tensor
    """int64 (N,)."""
    network: TopKNetwork
    """The model that learns."""
    teacher: TopKNetwork | None
    """The model at the last task boundary, frozen; None in the first task."""
    selected: list[Tensor]
    """Per hidden layer, the neurons most frequent at that boundary, int64 ascending."""
    seed: int
    """Of the run, for methods that draw samples."""


class Method:
    """Base of all methods: every hook does nothing.

    A new method is one file with a subclass, entered in ``registry.py``; ``docs/methods.md`` shows how.
    """

    name: ClassVar[str]
    is_network: ClassVar[bool] = False
    """Whether it says what network is trained; at most one of those joined by ``+`` does."""
    topk: ClassVar[bool] = True
    """A network of Top-K layers; otherwise of plain ReLU layers."""
    readout: ClassVar[ReadoutKind] = "gradient"
    """The usual readout."""
    all_at_once: ClassVar[bool] = False
    """Trained on all tasks' data together."""
    learns_features: ClassVar[bool] = True
    """Whether gradient steps change W."""
    dense_gradient: ClassVar[bool] = False
    """Whether it touches weights of inactive neurons too, so that W needs its whole gradient."""
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, **options: Any) -> None:
        self.options = self.Options(**options)

    def before_task(self, task: Task) -> None:
        """Called before a task's first step, and again when a run resumes inside it."""

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """The loss to minimize, from the cross-entropy, or from what the methods before this one made of it."""
        return loss

    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """Called after a step's update; ``before`` holds the parameters as they were, if ``dense_gradient``."""

    def after_task(self, task: Task) -> None:
        """Called after a task's last step, before the boundary."""

    def tensors(self) -> dict[str, Tensor]:
        """What it must keep between steps, by name, for checkpoints."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``tensors`` gave."""
