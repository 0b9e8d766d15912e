"""What a continual-learning method is: a few hooks around an ordinary training loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from ssd_edge.model import RowGradient, TopKNetwork, initial_weight

if TYPE_CHECKING:
    from ssd_edge_runtime.options import ReadoutKind


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
    samples: Tensor | None = None
    """int64 (N,), where they stand in the task's data; None where they come from elsewhere."""


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
    steps: int = 0
    """Gradient steps that it takes in all."""
    gradients: dict[str, Tensor] = field(default_factory=dict)
    """The last step's gradients by parameter name, before the clip, where a method ``keeps_before``."""


class Method:
    """Base of all methods: every hook does nothing.

    A new method is one file with a subclass, entered in ``registry.py``; ``docs/reference/methods.md`` shows how.
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
    lr: ClassVar[float] = 0.05
    """The usual step size."""
    readout_init: ClassVar[float | None] = 0.5
    """The usual bound of a class's first weights; None: 1 / sqrt(neurons)."""
    single_pass: ClassVar[bool] = False
    """Trained in one pass over each task, whatever the number of epochs."""
    centered: ClassVar[bool | None] = None
    """Whether inputs are usually centered; None: with the analytic readout."""
    needs_images: ClassVar[bool] = False
    """Whether it works on images (channels, height, width) only, not on embeddings."""
    own_supports: ClassVar[bool] = False
    """Whether it says itself which weights are there."""
    steps_by_itself: ClassVar[bool] = False
    """Whether it has a step rule, in ``direct``; at most one of those joined by ``+`` does."""
    rewires: ClassVar[bool] = False
    """Whether it moves connections of a sparse network; at most one of those joined by ``+`` does."""
    whole_batches: ClassVar[bool] = False
    """Whether each of several processes must see whole batches, as with an update of its own."""
    keeps_before: ClassVar[bool] = False
    """Whether ``after_batch`` needs all gradients and the parameters as they were."""
    Options: ClassVar[type[Any]] = NoOptions

    def __init__(self, **options: Any) -> None:
        self.options = self.Options(**options)

    @classmethod
    def default_k(cls, hidden: int, analytic: bool) -> int:
        """k of a layer of ``hidden`` neurons where none is given; a plain ReLU layer lets all but one fire."""
        if not cls.topk:
            return hidden - 1
        return min(hidden - 1, max(1, hidden // 10) if analytic else 10)

    @classmethod
    def learns_from_base(cls) -> bool:
        """Whether W comes from the base tasks' data, by gradient steps or by ``prepare``."""
        return cls.learns_features or cls.prepare is not Method.prepare

    def initial_weight(self, hidden: int, width: int, generator: torch.Generator, nonnegative: bool) -> Tensor:
        """W of a layer before training, float32 (hidden, width), rows of length 1."""
        return initial_weight(hidden, width, generator, nonnegative=nonnegative)

    def prepare_steps(self, samples: int) -> int:
        """Steps that ``prepare`` takes on so many samples."""
        return 0

    def prepare(self, network: TopKNetwork, x: Tensor, y: Tensor, seed: int) -> Iterator[None]:
        """Called once before the first task with the base tasks' raw samples; yields after every step.

        x float32 (N, *input_shape), y int64 (N,). A run resumed inside it begins it again.
        """
        return iter(())

    def before_task(self, task: Task) -> None:
        """Called before a task's first step, and again when a run resumes inside it."""

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """The loss to minimize, from the cross-entropy, or from what the methods before this one made of it."""
        return loss

    def learn(self, batch: Batch, task: Task) -> bool:
        """An update of its own in place of the gradient step: returns whether there was one."""
        return False

    def see(self, gradients: list[RowGradient | Tensor]) -> None:
        """Called in every gradient step with the gradient of each layer's W, at pruned places too; to look at."""

    def direct(
        self, gradients: Mapping[str, RowGradient | Tensor], weights: Mapping[str, Tensor], lr: float
    ) -> None:
        """A step rule of its own: called with the clipped gradients by parameter name, changes them in place.

        The parameters, ``weights``, then move by ``-lr`` times what it leaves.
        """

    def after_batch(self, batch: Batch, task: Task, before: Mapping[str, Tensor]) -> None:
        """Called after a step's update; with ``keeps_before``, ``before`` holds the parameters as they were."""

    def after_task(self, task: Task) -> None:
        """Called after a task's last step, before the boundary."""

    def report(self) -> dict[str, Any]:
        """What it has to tell of a task that has ended; goes beside the task's figures into ``metrics.json``."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What it must keep between steps, by name, for checkpoints."""
        return {}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what ``tensors`` gave."""
