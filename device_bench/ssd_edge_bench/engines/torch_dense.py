"""The same function and the same learning step in torch, dense, on the CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.options import LearningOptions
from ssd_edge_runtime.state import COSINE_EPSILON, Layer, ModelState


def _support(layer: Layer) -> Tensor | None:
    """What each row of a cosine layer sees, as ones, float32 (n, d)."""
    if layer.activation == "plain":
        return None
    return torch.from_numpy(replace(layer.weights, values=layer.weights.ones).to_dense())


class TorchEngine:
    """Dense weights; plain SGD with clipping and row normalization, or the statistics of a code; and counts."""

    operations: tuple[str, ...] = ("learn",)

    def __init__(self, state: ModelState, threads: int) -> None:
        torch.set_num_threads(threads)
        self._center = None if state.center is None else torch.from_numpy(state.center)
        self._epsilon, self._normalized_first = state.epsilon, state.normalized_first
        self._sketch = None if state.sketch is None else torch.from_numpy(state.sketch.matrix.to_dense())
        self._k = [layer.k for layer in state.layers]
        self._analytic = state.readout.kind == "analytic"
        self._options = state.learning or LearningOptions()
        dense = [torch.from_numpy(layer.weights.to_dense()) for layer in state.layers]
        self._supports = [_support(layer) for layer in state.layers]
        self.hidden = [weight.requires_grad_(not self._analytic) for weight in dense]
        self._readout = torch.from_numpy(state.readout.weights.copy()).requires_grad_(not self._analytic)
        self._bias = None if state.readout.bias is None else torch.from_numpy(state.readout.bias.copy())
        self._number = {name: i for i, name in enumerate(state.classes)}
        n, classes = state.layers[-1].weights.shape[0], len(state.classes)
        self._gram = torch.zeros(n, n, dtype=torch.float64) if self._analytic else None
        self._sums = torch.zeros(classes, n, dtype=torch.float64)
        self._counts = [torch.zeros(len(weight), dtype=torch.int64) for weight in self.hidden]

    def predict(self, x: Float32) -> Any:
        """Logits of x float32 (N, *input_shape)."""
        with torch.inference_mode():
            return functional.linear(self._codes(x)[-1], self._readout, self._bias).numpy()

    def learn(self, x: Float32, y: NDArray[np.str_]) -> None:
        """One step on a batch; ``y`` holds class names."""
        self.step(x, torch.tensor([self._number[name] for name in y.tolist()]))

    def step(self, x: Float32, labels: Tensor) -> None:
        """One step on a batch; ``labels`` int64 (N,) are class indices."""
        codes = self._codes(x)
        for count, code in zip(self._counts, codes, strict=True):
            count.add_((code > 0).sum(dim=0))
        if self._gram is not None:
            code = codes[-1].double()
            self._gram += code.T @ code
            self._sums.index_add_(0, labels, code)
            return
        weights = [*self.hidden, self._readout]
        loss = functional.cross_entropy(functional.linear(codes[-1], self._readout), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, self._options.clip_norm)
        with torch.no_grad():
            self._update(weights)

    def _update(self, weights: list[Tensor]) -> None:
        for weight in weights:
            assert weight.grad is not None
            weight.sub_(weight.grad, alpha=self._options.learning_rate)
            weight.grad = None
            if self._options.nonnegative:
                weight.clamp_(min=0)
        for weight in self.hidden:
            weight.div_(weight.norm(dim=1, keepdim=True).clamp_(min=1e-12))

    def _unit(self, rows: Tensor) -> Tensor:
        return functional.normalize(rows, eps=self._epsilon)

    def _codes(self, x: Float32) -> list[Tensor]:
        code = torch.from_numpy(x).flatten(1)
        if self._normalized_first:
            code = self._unit(code)
        if self._center is not None:
            code = code - self._center
        if self._sketch is not None:
            code = functional.linear(code, self._sketch)
        code = self._unit(code)
        codes = []
        for weight, k, support in zip(self.hidden, self._k, self._supports, strict=True):
            active = functional.linear(code, weight).relu()
            if support is not None:
                active = active / (functional.linear(code * code, support) + COSINE_EPSILON).sqrt()
            threshold = active.detach().topk(k + 1, dim=1).values[:, -1:]
            code = (active - threshold).relu()
            codes.append(code)
        return codes
