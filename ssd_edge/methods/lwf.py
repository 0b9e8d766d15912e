"""LwF: learning without forgetting (Li and Hoiem, ECCV 2016), on one head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.methods.ssd import divergence
from ssd_edge.methods.teacher_answers import TeacherAnswers
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class LwFOptions:
    """As in the paper: weight 1, temperature 2."""

    strength: float = 1.0
    """lambda_o, the weight of the distillation."""
    temperature: float = 2.0
    """T of both softmaxes."""

    def __post_init__(self) -> None:
        OptionError.unless(self.strength >= 0.0, f"strength must not be negative, got {self.strength}")
        OptionError.unless(self.temperature > 0.0, f"temperature must be positive, got {self.temperature}")


class LwF(Method):
    """``CE + lambda T^2 KL(softmax(logits_teacher / T) || softmax(logits_student / T))`` over old classes.

    On the current task's data alone. The paper writes the cross-entropy, which has the same gradient.
    """

    name: ClassVar[str] = "lwf"
    Options: ClassVar[type[LwFOptions]] = LwFOptions
    options: LwFOptions

    def __init__(self, **options: float) -> None:
        super().__init__(**options)
        self.answers = TeacherAnswers()

    def before_task(self, task: Task) -> None:
        """Ask the teacher once about every sample."""
        self.answers = TeacherAnswers.ask(task)

    def loss(self, loss: Tensor, batch: Batch, task: Task) -> Tensor:
        """With the distillation, once there is a teacher."""
        if task.teacher is None:
            return loss
        teacher = self.answers.of(task, batch).logits
        student = batch.logits[:, : teacher.shape[1]]
        return loss + self.options.strength * divergence(
            student, teacher, self.options.temperature, "teacher-student"
        )
