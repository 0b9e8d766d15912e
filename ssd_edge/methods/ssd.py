"""SSD: Selective Subnetwork Distillation (Xue et al., arXiv 2512.15267)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.methods.teacher_answers import TeacherAnswers
from ssd_edge_runtime.options import DistillOptions, KLDirection


class SSD(Method):
    """SDMLP whose frequent neurons and logits stay near the model at the last task boundary.

    ``L = alpha CE + (1 - alpha) [lambda L_hidden + (1 - lambda) L_logits]`` once there is a teacher, both terms
    on the current task's data: no replay.
    """

    name: ClassVar[str] = "ssd"
    is_network: ClassVar[bool] = True
    Options: ClassVar[type[DistillOptions]] = DistillOptions
    options: DistillOptions

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.answers = TeacherAnswers()

    def before_task(self, task: Task) -> None:
        """Ask the teacher once about every sample: it does not change, and neither do they."""
        self.answers = TeacherAnswers.ask(task, self.options.hidden_stage)

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """The paper's total loss; in the first task the cross-entropy alone."""
        if task.teacher is None:
            return loss
        o = self.options
        teacher = self.answers.of(task, batch, o.hidden_stage)
        distillation = o.lambda_hidden * self.hidden_loss(batch, teacher.selected, task.selected)
        distillation = distillation + (1.0 - o.lambda_hidden) * self.logit_loss(batch, teacher.logits)
        return o.alpha * loss + (1.0 - o.alpha) * distillation

    def hidden_loss(self, student: Batch, teacher: list[Tensor], selected: list[Tensor]) -> Tensor:
        """``sum over layers T^2 KL(softmax(z_student[I] / T) || softmax(z_teacher[I] / T))``, I the selected."""
        values = student.activations if self.options.hidden_stage == "before" else student.codes
        losses = [self.divergence(s[:, i], t) for s, t, i in zip(values, teacher, selected, strict=True)]
        return torch.stack(losses).sum()

    def logit_loss(self, student: Batch, teacher: Tensor) -> Tensor:
        """``T^2 KL(softmax(logits_student / T) || softmax(logits_teacher / T))``.

        Over all classes the teacher answers 0 for those it lacks.
        """
        known = teacher.shape[1]
        if self.options.logit_scope == "seen":
            return self.divergence(student.logits[:, :known], teacher)
        padded = functional.pad(teacher, (0, student.logits.shape[1] - known))
        return self.divergence(student.logits, padded)

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """``T^2 KL`` of softmax(. / T), averaged over the batch; float32 (N, m) each."""
        return divergence(student, teacher, self.options.temperature, self.options.kl)


def divergence(student: Tensor, teacher: Tensor, temperature: float, direction: KLDirection) -> Tensor:
    """``T^2 KL(softmax(first / T) || softmax(second / T))``, the mean over samples."""
    log_student = functional.log_softmax(student / temperature, dim=1)
    log_teacher = functional.log_softmax(teacher / temperature, dim=1)
    first, second = (log_student, log_teacher) if direction == "student-teacher" else (log_teacher, log_student)
    return temperature**2 * (first.exp() * (first - second)).sum(dim=1).mean()
