"""What the teacher says about a task's samples, asked once: neither it nor they change while the task lasts."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ssd_edge.methods.method import Batch, Task
from ssd_edge_runtime.options import HiddenStage

CHUNK = 4096


@dataclass(frozen=True)
class TeacherAnswers:
    """The teacher's values for samples, in their order; its inhibition is complete."""

    selected: list[Tensor] = field(default_factory=list)
    """Per hidden layer, of the selected neurons, float32 (N, m)."""
    logits: Tensor = field(default_factory=lambda: torch.zeros(0, 0))
    """float32 (N, the teacher's classes)."""

    @classmethod
    @torch.no_grad()
    def ask(cls, task: Task, stage: HiddenStage = "after", u: Tensor | None = None) -> TeacherAnswers:
        """About ``u`` float32 (N, d), or all of the task's samples; nothing where there is no teacher."""
        if task.teacher is None:
            return cls()
        parts = []
        for chunk in torch.split(task.u if u is None else u, CHUNK):
            activations, codes = task.teacher.hidden_of(chunk)
            values = activations if stage == "before" else codes
            chosen = [v[:, i] for v, i in zip(values, task.selected, strict=True)] if task.selected else []
            parts.append((chosen, task.teacher.readout(codes[-1])))
        layers = [torch.cat(layer) for layer in zip(*(chosen for chosen, _ in parts), strict=True)]
        return cls(layers, torch.cat([logits for _, logits in parts]))

    def of(self, task: Task, batch: Batch, stage: HiddenStage = "after") -> TeacherAnswers:
        """Those for one batch; samples that are not the task's are asked about anew."""
        if batch.samples is None:
            return TeacherAnswers.ask(task, stage, batch.u)
        return TeacherAnswers([values[batch.samples] for values in self.selected], self.logits[batch.samples])
