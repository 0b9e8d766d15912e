"""One gradient step of the Top-K network, the same mathematics as on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.methods import Batch, Method, Task
from ssd_edge.model import TopKLayer, TopKNetwork, normalize_rows_
from ssd_edge.model.linear import RowGradient
from ssd_edge.training.parallel import ALONE, Parallel
from ssd_edge_runtime.options import LearningOptions

CLIP_EPSILON = 1e-6


@dataclass
class Step:
    """Forward, loss, clipped SGD, clamp, rows of W back to length 1, counts."""

    network: TopKNetwork
    learning: LearningOptions
    methods: Sequence[Method]
    counting: bool = True
    """Count which neurons are in the Top-K of the step's own forward pass, as the device does."""
    parallel: Parallel = ALONE
    """The processes that share each batch."""

    def __post_init__(self) -> None:
        self.learns_features = all(method.learns_features for method in self.methods)
        self.keeps_before = any(method.keeps_before for method in self.methods)
        self.watched = self.learns_features and any(type(m).see is not Method.see for m in self.methods)
        self.directed = any(method.steps_by_itself for method in self.methods)
        # A method with an update of its own gets whole batches: nothing of it is summed over processes.
        own_update = any(type(method).learn is not Method.learn or method.whole_batches for method in self.methods)
        self.dealt = ALONE if own_update else self.parallel
        alone = self.dealt.size == 1
        sparse = self.network.device.type == "cpu" and self.learns_features and alone
        # Counts of past tasks stand still while a task lasts.
        self.speeds = [layer.speed(self.learning.protect) for layer in self.network.topk_layers]
        for layer in self.network.topk_layers:
            layer.weight.requires_grad_(self.learns_features)
            layer.sparse_backward = sparse

    def __call__(self, u: Tensor, y: Tensor, task: Task, samples: Tensor | None = None) -> Tensor:
        """Learn from one batch: u float32 (N, d) preprocessed, y int64 (N,). Returns the loss before it.

        ``samples`` int64 (N,): where they stand in the task's data, if that is where they come from.
        """
        batch = self.forward(u, y)
        batch.samples = samples
        return self.learn_from(batch, task, share=1.0)

    def learn(self, task: Task, samples: Tensor) -> None:
        """Learn from the task's samples number ``samples``, int64 (N,), dealt out over the processes."""
        own = self.dealt.share(samples)
        batch = self.forward(task.u.index_select(0, own), task.y.index_select(0, own))
        batch.samples = own
        self.learn_from(batch, task, share=len(own) / len(samples))

    def learn_from(self, batch: Batch, task: Task, share: float) -> Tensor:
        """Loss, update and counts; ``share`` is this process's part of the batch."""
        y = batch.y
        # The mean over no samples is not a number; their sum is zero, and so is its gradient.
        loss = functional.cross_entropy(batch.logits, y) if share else batch.logits.sum()
        for method in self.methods if share else ():
            loss = method.loss(loss, batch, task)
        before = self.parameters_before()
        if not any(method.learn(batch, task) for method in self.methods):
            self.clear_gradients()
            (loss if share == 1.0 else loss * share).backward()  # type: ignore[no-untyped-call]
            self.dealt.sum_(value.grad for value in self.network.parameters() if value.grad is not None)
            self.update()
        task.gradients = self.all_gradients() if self.keeps_before else {}
        with torch.no_grad():
            if self.counting:
                pairs = zip(self.network.topk_layers, batch.activations, strict=True)
                self.network.count([layer.inhibit(a, fully=True) for layer, a in pairs], y)
            for layer, z in zip(self.network.topk_layers, batch.codes, strict=True):
                # z is never negative; a sum of floats is several times faster than one of booleans.
                fired = z.sign().sum(0)
                self.dealt.sum_([fired])
                layer.inhibition_count += fired.long()
        for method in self.methods:
            method.after_batch(batch, task, before)
        return loss.detach()

    def forward(self, u: Tensor, y: Tensor) -> Batch:
        """What the network makes of a batch, with its gradients' graph."""
        activations, codes = self.network.hidden_of(u)
        return Batch(u, y, activations, codes, self.network.readout(codes[-1]))

    def clear_gradients(self) -> None:
        """Drop the gradients of the step before."""
        self.network.zero_grad(set_to_none=True)
        for layer in self.network.topk_layers:
            layer.weight.row_gradient = None  # type: ignore[attr-defined]

    def parameters_before(self) -> dict[str, Tensor]:
        """Copies of all parameters, where a method asks for them."""
        if not self.keeps_before:
            return {}
        return {name: value.detach().clone() for name, value in self.network.named_parameters()}

    def all_gradients(self) -> dict[str, Tensor]:
        """The step's gradients by parameter name, dense."""
        gradients = {}
        for name, value in self.network.named_parameters():
            if not value.requires_grad:
                continue
            rows: RowGradient | None = getattr(value, "row_gradient", None)
            if value.grad is None:
                gradients[name] = torch.zeros_like(value) if rows is None else rows.to_dense(value)
            else:
                gradients[name] = value.grad
        return gradients

    @torch.no_grad()
    def update(self) -> None:
        """``theta -= lr min(1, clip / (||g|| + 1e-6)) g``, then clamp and normalize what changed."""
        layers = zip(self.network.topk_layers, self.speeds, strict=True) if self.learns_features else ()
        for method in self.methods if self.watched else ():
            method.see([self.whole_gradient_of(layer) for layer in self.network.topk_layers])
        gradients = [slowed(self.gradient_of(layer), speed) for layer, speed in layers]
        readout = self.network.readout_weight.grad
        assert readout is not None
        values = [g.values if isinstance(g, RowGradient) else g for g in gradients]
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in (*values, readout)]))
        rate = self.learning.learning_rate * (self.learning.clip_norm / (norm + CLIP_EPSILON)).clamp_max(1.0)
        if self.directed:
            rate = self.direct(gradients, readout, rate)
        for layer, gradient in zip(self.network.topk_layers, gradients, strict=False):
            self.move_rows(layer, gradient, rate)
        self.network.readout_weight.sub_(rate * readout)
        if self.learning.nonnegative:
            self.network.readout_weight.clamp_min_(0.0)

    def direct(self, gradients: list[RowGradient | Tensor], readout: Tensor, rate: Tensor) -> Tensor:
        """Clip in place, and let a method put a step of its own in the gradients' place; returns the step size."""
        lr, network = self.learning.learning_rate, self.network
        for gradient in (*gradients, readout):
            (gradient.values if isinstance(gradient, RowGradient) else gradient).mul_(rate / lr)
        named = {f"layers.{i}.weight": g for i, g in enumerate(gradients)} | {"readout_weight": readout}
        weights = dict(network.named_parameters())
        for method in self.methods:
            method.direct(named, weights, lr)
        return torch.full_like(rate, lr)

    def gradient_of(self, layer: TopKLayer) -> RowGradient | Tensor:
        """The gradient of W, pruned entries 0."""
        gradient = self.whole_gradient_of(layer)
        if layer.mask is None:
            return gradient
        if isinstance(gradient, Tensor):
            return gradient.mul_(layer.mask)
        gradient.values *= layer.mask if gradient.rows is None else layer.mask[gradient.rows]
        return gradient

    def whole_gradient_of(self, layer: TopKLayer) -> RowGradient | Tensor:
        """The gradient of W: active rows alone where nothing touches the others, else dense."""
        rows: RowGradient | None = getattr(layer.weight, "row_gradient", None)
        dense = layer.weight.grad
        if dense is None:
            assert rows is not None
            return rows
        if rows is not None:
            dense += rows.to_dense(dense)
            layer.weight.row_gradient = None  # type: ignore[attr-defined]
        return dense

    def move_rows(self, layer: TopKLayer, gradient: RowGradient | Tensor, rate: Tensor) -> None:
        """Move W against its gradient; only rows with a gradient are clamped and normalized again."""
        if isinstance(gradient, RowGradient):
            rows = gradient.rows
            moved = layer.weight if rows is None else layer.weight.index_select(0, rows)
            self.project(moved.addcmul_(gradient.values, -rate))
            if rows is not None:
                layer.weight.index_copy_(0, rows, moved)
            return
        changed = (gradient != 0).any(dim=1, keepdim=True)
        moved = self.project(layer.weight - rate * gradient)
        layer.weight.copy_(torch.where(changed, moved, layer.weight))

    def project(self, rows: Tensor) -> Tensor:
        """Clamp to >= 0 where asked, and scale rows to length 1, in place."""
        if self.learning.nonnegative:
            rows.clamp_min_(0.0)
        return normalize_rows_(rows)


def slowed(gradient: RowGradient | Tensor, speed: Tensor | None) -> RowGradient | Tensor:
    """The gradient of W with each row times its ``speed`` float32 (n, 1); as it is for None."""
    if speed is None:
        return gradient
    if isinstance(gradient, Tensor):
        return gradient * speed
    own = speed if gradient.rows is None else speed[gradient.rows]
    return RowGradient(gradient.rows, gradient.values * own)
