"""The trainer's step with inhibition complete, dense, by torch's autograd: what the device must reproduce."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, one_hot, pad

from ssd_edge_runtime.network.first_rows import initial_rows
from ssd_edge_runtime.options import DistillOptions, LearningOptions
from ssd_edge_runtime.state import ModelState


class Reference:
    """A dense copy of a state; ``learn`` is one batch, ``boundary`` a task boundary, ``add_classes`` grows it."""

    def __init__(self, state: ModelState, options: LearningOptions) -> None:
        self.options = options
        self.center, self.epsilon = state.center, state.epsilon
        self.ks = [layer.k for layer in state.layers]
        self.weights = [torch.from_numpy(layer.weights.to_dense()) for layer in state.layers]
        self.masks = []
        for layer in state.layers:
            mask = np.zeros(layer.weights.shape, bool)
            mask[layer.weights.row_of_entry(), layer.weights.columns] = True
            self.masks.append(torch.from_numpy(mask))
        self.readout = torch.from_numpy(np.array(state.readout.weights))
        self.activation = [torch.from_numpy(layer.activation_count.copy()) for layer in state.layers]
        self.task = [torch.from_numpy(layer.task_count.copy()) for layer in state.layers]
        self.per_class = [torch.from_numpy(np.array(layer.class_count)) for layer in state.layers]
        self.teacher: tuple[list[Tensor], Tensor, list[Tensor]] | None = None

    def add_classes(self, new: int) -> None:
        rows = initial_rows(len(self.readout), new, self.readout.shape[1], self.options)
        self.readout = torch.cat([self.readout, torch.from_numpy(rows)])
        self.per_class = [pad(count, (0, 0, 0, new)) for count in self.per_class]

    def boundary(self) -> None:
        distill = self.options.distill
        if distill is not None:
            counts = self.task if distill.frequency == "task" else self.activation
            selected = [
                torch.sort(
                    torch.sort(count, descending=True, stable=True).indices[: distill.n_distill or k]
                ).values
                for count, k in zip(counts, self.ks, strict=True)
            ]
            self.teacher = ([w.clone() for w in self.weights], self.readout.clone(), selected)
        self.task = [torch.zeros_like(count) for count in self.task]

    def preprocess(self, x: np.ndarray) -> Tensor:
        u = torch.from_numpy(x)
        if self.center is not None:
            u = u - torch.from_numpy(self.center)
        return u / torch.linalg.vector_norm(u, dim=1, keepdim=True).clamp_min(self.epsilon)

    def forward(
        self, u: Tensor, weights: list[Tensor], readout: Tensor
    ) -> tuple[list[Tensor], list[Tensor], Tensor]:
        before, after = [], []
        for weight, k in zip(weights, self.ks, strict=True):
            a = torch.relu(u @ weight.T)
            threshold = a.detach().topk(k + 1, dim=1).values[:, -1:]
            u = torch.relu(a - threshold)
            before.append(a)
            after.append(u)
        return before, after, u @ readout.T

    def learn(self, x: np.ndarray, y: np.ndarray) -> None:
        u, labels = self.preprocess(x), torch.from_numpy(y)
        weights = [w.clone().requires_grad_() for w in self.weights]
        readout = self.readout.clone().requires_grad_()
        before, after, logits = self.forward(u, [w * m for w, m in zip(weights, self.masks, strict=True)], readout)
        loss = cross_entropy(logits, labels)
        if self.teacher is not None and self.options.distill is not None:
            loss = self.distilled(loss, u, before, after, logits, self.options.distill)
        loss.backward()
        parameters = [*weights, readout]
        torch.nn.utils.clip_grad_norm_(parameters, self.options.clip_norm)
        with torch.no_grad():
            for parameter in parameters:
                parameter -= self.options.learning_rate * parameter.grad
                if self.options.nonnegative:
                    parameter.clamp_(min=0.0)
            self.weights = [w / torch.linalg.vector_norm(w, dim=1, keepdim=True).clamp_min(1e-12) for w in weights]
        self.readout = readout.detach()
        for number, z in enumerate(after):
            active = (z > 0).long()
            self.activation[number] += active.sum(0)
            self.task[number] += active.sum(0)
            self.per_class[number] += one_hot(labels, len(self.readout)).T @ active

    def distilled(
        self, loss: Tensor, u: Tensor, before: list[Tensor], after: list[Tensor], logits: Tensor, o: DistillOptions
    ) -> Tensor:
        assert self.teacher is not None
        weights, readout, selected = self.teacher
        with torch.no_grad():
            t_before, t_after, t_logits = self.forward(u, weights, readout)
        known = len(readout)
        if o.logit_scope == "all":
            t_logits = pad(t_logits, (0, logits.shape[1] - known))
        else:
            logits = logits[:, :known]
        own, target = (before, t_before) if o.hidden_stage == "before" else (after, t_after)
        hidden = sum(kl(s[:, i], t[:, i], o) for s, t, i in zip(own, target, selected, strict=True))
        return o.alpha * loss + (1 - o.alpha) * (
            o.lambda_hidden * hidden + (1 - o.lambda_hidden) * kl(logits, t_logits, o)
        )


def kl(student: Tensor, teacher: Tensor, options: DistillOptions) -> Tensor:
    temperature = options.temperature
    log_p, log_q = log_softmax(student / temperature, 1), log_softmax(teacher / temperature, 1)
    if options.kl == "teacher-student":
        log_p, log_q = log_q, log_p
    return temperature**2 * (log_p.exp() * (log_p - log_q)).sum(1).mean()
