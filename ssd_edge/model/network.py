"""The whole model: preprocessing, Top-K layers, one readout over all classes seen."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from ssd_edge.model.initialize import initial_weight
from ssd_edge.model.layer import TopKLayer
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.network.first_rows import initial_rows
from ssd_edge_runtime.options import Activation, FrequencyScope, LearningOptions
from ssd_edge_runtime.sparse.sketch import Sketch

EPSILON = 1e-12


class TopKNetwork(nn.Module):
    """``u = v / max(||v||, epsilon)``, v = x - center; Top-K layers; ``logits = V z (+ b)``.

    With ``normalized_first`` x is divided by its own length first; with a sketch v is ``P (x - center)``.

    Classes are added as they come; a new class's counts are zero, its row of V is given or zero.
    """

    readout_weight: nn.Parameter
    """V, float32 (classes, n)."""
    readout_bias: Tensor | None
    """b, float32 (classes,); None for the gradient readout."""
    center: Tensor | None
    """float32 (d,), subtracted from the input: a share of the mean, or all of it; None for none."""
    class_samples: Tensor
    """int64 (classes,), samples counted per class."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        k: Sequence[int],
        input_shape: Sequence[int],
        *,
        center: Tensor | None = None,
        masks: Sequence[Tensor | None] | None = None,
        normalized_first: bool = False,
        sketch: Sketch | None = None,
        activation: Activation = "plain",
    ) -> None:
        super().__init__()
        OptionError.unless(
            len(weights) == len(k), f"one k per hidden layer: {len(weights)} layers, {len(k)} values of k"
        )
        masks = masks or [None] * len(weights)
        self.layers = nn.ModuleList(
            TopKLayer(w, n, mask=mask, activation=activation) for w, n, mask in zip(weights, k, masks, strict=True)
        )
        self.input_shape = tuple(int(n) for n in input_shape)
        self.epsilon = EPSILON
        self.normalized_first = normalized_first
        self.sketch = sketch
        self.classes: list[str] = []
        self.samples_seen = 0
        """Samples counted, in all."""
        self.task_samples = 0
        """Samples counted since the last task boundary."""
        self.readout_weight = nn.Parameter(torch.zeros(0, weights[-1].shape[0]))
        self.register_buffer("readout_bias", None)
        self.register_buffer("center", center)
        self.register_buffer("class_samples", torch.zeros(0, dtype=torch.int64))

    @classmethod
    def create(
        cls,
        input_shape: Sequence[int],
        hidden: Sequence[int],
        k: Sequence[int],
        *,
        seed: int = 0,
        nonnegative: bool = True,
        center: Tensor | None = None,
    ) -> TopKNetwork:
        """A new network with seeded Gaussian rows of length 1 and no classes."""
        generator = torch.Generator().manual_seed(seed)
        widths = [int(torch.Size(input_shape).numel()), *hidden]
        weights = [initial_weight(n, d, generator, nonnegative=nonnegative) for d, n in pairwise(widths)]
        return cls(weights, k, input_shape, center=center)

    @property
    def topk_layers(self) -> list[TopKLayer]:
        """``layers``, typed."""
        return [cast(TopKLayer, layer) for layer in self.layers]

    @property
    def input_width(self) -> int:
        """d, the number of values of a sample."""
        return prod(self.input_shape)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.readout_weight.device

    def preprocess(self, x: Tensor) -> Tensor:
        """``u``, float32 (N, width), each sample of length 1 (or zero), of float32 (N, *input_shape)."""
        u = x.reshape(len(x), -1)
        if self.normalized_first:
            u = self._unit(u)
        if self.center is not None:
            u = u - self.center
        if self.sketch is not None:
            u = u @ torch.from_numpy(self.sketch.matrix.to_dense().T).to(u.device)
        return self._unit(u)

    def _unit(self, u: Tensor) -> Tensor:
        norms: Tensor = torch.linalg.vector_norm(u, dim=1, keepdim=True)
        return u / norms.clamp_min(self.epsilon)

    def codes(self, x: Tensor) -> list[Tensor]:
        """z of every hidden layer, float32 (N, n) each, of raw samples (N, *input_shape)."""
        return self.codes_of(self.preprocess(x))

    def codes_of(self, u: Tensor) -> list[Tensor]:
        """z of every hidden layer of preprocessed samples (N, d)."""
        return self.hidden_of(u)[1]

    def hidden_of(self, u: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """a (before the Top-K) and z (after it) of every hidden layer, of preprocessed samples (N, d)."""
        activations: list[Tensor] = []
        codes: list[Tensor] = []
        for layer in self.topk_layers:
            activations.append(layer.activate(codes[-1] if codes else u))
            codes.append(layer.inhibit(activations[-1]))
        return activations, codes

    def readout(self, z: Tensor) -> Tensor:
        """``V z (+ b)``, float32 (N, classes), of the last layer's code."""
        return nn.functional.linear(z, self.readout_weight, self.readout_bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits, float32 (N, classes), of raw samples (N, *input_shape)."""
        return self.readout(self.codes(x)[-1])

    def add_classes(self, names: Sequence[str], learning: LearningOptions | None = None) -> None:
        """Open classes not known yet, in the order given; ``learning`` says how their rows of V are drawn."""
        new = [name for name in names if name not in self.classes]
        if not new:
            return
        self.classes = [*self.classes, *new]
        rows = _grow(self.readout_weight.detach(), len(new))
        if learning is not None:
            first, width = len(self.classes) - len(new), rows.shape[1]
            rows[first:] = torch.from_numpy(initial_rows(first, len(new), width, learning))
        self.readout_weight = nn.Parameter(rows)
        self.class_samples = _grow(self.class_samples, len(new))
        if self.readout_bias is not None:
            self.readout_bias = _grow(self.readout_bias, len(new))
        for layer in self.topk_layers:
            layer.class_count = _grow(layer.class_count, len(new))

    @torch.no_grad()
    def count(self, codes: Sequence[Tensor], y: Tensor) -> None:
        """Count which neurons fired: ``codes`` from ``codes()``, labels int64 (N,) as indices into ``classes``."""
        for layer, z in zip(self.topk_layers, codes, strict=True):
            fired = z.sign()
            layer.activation_count += fired.sum(0).long()
            layer.task_count += fired.sum(0).long()
            members = nn.functional.one_hot(y, len(self.classes)).to(torch.float32)
            layer.class_count += (members.T @ fired).round_().long()
        self.class_samples += torch.bincount(y, minlength=len(self.classes))
        self.samples_seen += len(y)
        self.task_samples += len(y)

    def reset_counts(self) -> None:
        """Forget all counts but the GABA switch's own."""
        for layer in self.topk_layers:
            for count in (layer.activation_count, layer.task_count, layer.class_count):
                count.zero_()
        self.class_samples.zero_()
        self.samples_seen = self.task_samples = 0

    def most_frequent(self, n_distill: int | None = None, frequency: FrequencyScope = "task") -> list[Tensor]:
        """Per layer the ``n_distill`` (default k) most frequent neurons, int64, ascending; ties to the lower."""
        selected = []
        for layer in self.topk_layers:
            counts = layer.task_count if frequency == "task" else layer.activation_count
            order = torch.argsort(counts, descending=True, stable=True)
            selected.append(order[: layer.k if n_distill is None else n_distill].sort().values)
        return selected

    def boundary(self) -> None:
        """End the task: its counts start again at zero."""
        self.task_samples = 0
        for layer in self.topk_layers:
            layer.task_count.zero_()

    def frozen_copy(self) -> TopKNetwork:
        """A copy that does not learn, in inference mode: the teacher."""
        teacher = copy.deepcopy(self)
        teacher.requires_grad_(False)
        return teacher.eval()

    def apply_masks(self) -> None:
        """Set pruned weights of every layer to zero."""
        for layer in self.topk_layers:
            layer.apply_mask()


def _grow(rows: Tensor, new: int) -> Tensor:
    return torch.cat([rows, rows.new_zeros(new, *rows.shape[1:])])
