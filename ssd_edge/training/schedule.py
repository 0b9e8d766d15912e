"""Which gradient steps a run takes, task by task, and where in them it stands."""

from __future__ import annotations

from dataclasses import dataclass

from ssd_edge.training.config import TrainConfig


@dataclass
class Position:
    """Where a run stands: all counted from 0, the next thing to do."""

    task: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Schedule:
    """The steps of a run."""

    config: TrainConfig
    """Every option decided."""
    samples: tuple[int, ...]
    """Training samples per task."""
    prepare_steps: int
    """Steps of the methods' own, before the first task."""

    @property
    def epochs(self) -> int:
        """Passes over each task."""
        return 1 if self.config.spec.network.single_pass else self.config.epochs

    @property
    def first_presented(self) -> int:
        """Samples presented in the first task."""
        return self.samples[0] * self.epochs

    @property
    def total_steps(self) -> int:
        """All gradient steps of the run."""
        return self.prepare_steps + sum(self.steps_of(task) for task in range(len(self.samples)))

    def learns_in(self, task: int) -> bool:
        """Whether task number ``task`` (from 0) takes gradient steps."""
        if self.config.readout == "gradient":
            return True
        assert self.config.base_tasks is not None
        base = self.config.base_tasks if not self.config.spec.network.all_at_once else 1
        return self.config.spec.network.learns_features and task < base

    def batches(self, task: int) -> int:
        """Steps of one epoch of a task."""
        return -(-self.samples[task] // self.config.batch_size)

    def steps_of(self, task: int) -> int:
        """Gradient steps of a task."""
        return self.batches(task) * self.epochs if self.learns_in(task) else 0

    def steps_before(self, at: Position) -> int:
        """Gradient steps behind ``at``, those of the methods' own included."""
        done = self.prepare_steps + sum(self.steps_of(task) for task in range(at.task))
        inside = at.task < len(self.samples) and self.learns_in(at.task)
        return done + (at.epoch * self.batches(at.task) + at.batch if inside else 0)
