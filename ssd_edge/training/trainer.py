"""Training on one task after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.encoders import Embeddings
from ssd_edge.methods import Task
from ssd_edge.model import TopKNetwork, normalize_rows, random_support
from ssd_edge.training import statistics as analytic
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.counting import count, neurons
from ssd_edge.training.cuda_graph import GraphStep, can_capture, capture_cuda
from ssd_edge.training.evaluate import Readout, accuracies
from ssd_edge.training.metrics import complete, summarize
from ssd_edge.training.parallel import ALONE, Parallel
from ssd_edge.training.run import Run
from ssd_edge.training.schedule import Position, Schedule
from ssd_edge.training.step import Step
from ssd_edge.training.task_data import joined, mean_sample, split_raw, to_parts
from ssd_edge.training.task_options import fitted
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.state import Statistics


@dataclass
class Measured:
    """What has been measured so far; goes into every checkpoint."""

    rows: list[list[float]] = field(default_factory=list)
    held_rows: list[list[float]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    """In all; training_seconds without preparation, counting and evaluation."""
    training_seconds: float = 0.0
    samples: int = 0
    """Presented in gradient steps."""


class Trainer:
    """The network, the tasks' data on the device, and the loop over them.

    Everything random is drawn from the seed and the position, so that a run resumed at a position goes on as if
    it had never stopped.
    """

    def __init__(
        self,
        config: TrainConfig,
        train: Dataset,
        test: Dataset,
        device: torch.device,
        parallel: Parallel = ALONE,
        embeddings: Embeddings | None = None,
        encoding: Progress = unwatched,
    ) -> None:
        """``embeddings``: of the encoder in front; ``encoding``: progress in samples while it makes them."""
        self.parallel = parallel
        self.config = fitted(config, train).resolved()
        self.device = device
        self.embeddings = embeddings
        raws = split_raw(self.config, train, test, embeddings, encoding)
        self.base = raws[: self.config.base_tasks or 1]
        first = self.config.normalize == "both"
        center = self.config.center * mean_sample(self.base, normalized=first) if self.config.center else None
        self.methods = self.config.spec.create(self.config.settings)
        network = self.first_network(raws[0].train.input_shape, center)
        self.network = network.to(device)
        self.parts = to_parts(raws, self.network)
        self.sequence = [joined(self.parts)] if self.config.spec.network.all_at_once else self.parts
        samples = sum(len(raw.train) for raw in self.base)
        self.schedule = Schedule(
            self.config,
            tuple(len(part.train.y) for part in self.sequence),
            sum(method.prepare_steps(samples) for method in self.methods),
        )
        self.set_switch()
        self.prepared = 0
        self.position = Position()
        self.measured = Measured()
        self.teacher: TopKNetwork | None = None
        self.selected: list[Tensor] = []
        self.statistics: Statistics | None = None
        self.readout: Readout | None = None

    def first_network(self, input_shape: tuple[int, ...], center: Tensor | None) -> TopKNetwork:
        """The network before training, its weights drawn from the seed as the method wants them."""
        assert self.config.k is not None
        generator = torch.Generator().manual_seed(self.config.seed)
        inputs = int(np.prod(input_shape))
        sketch = self.sketch_of(inputs)
        widths = list(pairwise([inputs if sketch is None else sketch.width, *self.config.hidden]))
        first, signed = self.methods[0], not self.config.nonnegative
        weights = [first.initial_weight(n, d, generator, not signed) for d, n in widths]
        masks = self.supports(widths, inputs, generator)
        if masks is not None:
            weights = [normalize_rows(w * mask) for w, mask in zip(weights, masks, strict=True)]
        first_too = self.config.normalize == "both"
        return TopKNetwork(
            weights,
            self.config.k,
            input_shape,
            center=center,
            masks=masks,
            normalized_first=first_too,
            sketch=sketch,
            activation=self.config.activation,
        )

    def supports(
        self, widths: list[tuple[int, int]], inputs: int, generator: torch.Generator
    ) -> list[Tensor] | None:
        """Which weights of each layer, (width, neurons), are there from the first step; None for all."""
        if self.config.density == 1.0:
            return None
        # The first layer's share is counted against one that sees the input without a sketch.
        wanted = [inputs, *(width for width, _ in widths[1:])]
        shares = [min(1.0, self.config.density * d / width) for d, (width, _) in zip(wanted, widths, strict=True)]
        return [random_support(n, d, share, generator) for share, (d, n) in zip(shares, widths, strict=True)]

    def sketch_of(self, inputs: int) -> Sketch | None:
        """The sketch of ``inputs`` values that is asked for, drawn from the seed."""
        width = self.config.sketch
        if width is None:
            return None
        OptionError.unless(width <= inputs, f"sketch must be at most the input's {inputs} values, got {width}")
        return Sketch.draw(inputs, width, self.config.seed)

    def set_switch(self) -> None:
        """s, from its share of the samples presented in the first task; features that do not learn need none."""
        network = self.config.spec.network
        share = self.config.switch if network.topk and network.learns_features else 0.0
        for layer in self.network.topk_layers:
            layer.switch = share * self.schedule.first_presented or None

    @property
    def steps_done(self) -> int:
        """Gradient steps behind the position, of ``schedule.total_steps``."""
        return self.prepared if self.position == Position() else self.schedule.steps_before(self.position)

    def fit(self) -> Iterator[bool]:
        """Train from the position to the end; yields after every step, False, and after every task, True."""
        self.lap = time.perf_counter()
        if self.position == Position():
            yield from self.prepare()
        while self.position.task < len(self.sequence):
            task = self.open_task()
            if self.schedule.learns_in(self.position.task):
                yield from self.train_task(task)
            self.close_task(task)
            self.measure()
            yield True

    def prepare(self) -> Iterator[bool]:
        """Let the methods learn features from the base tasks' raw samples; yields False after every step."""
        if self.schedule.prepare_steps == 0:
            return
        x = torch.from_numpy(np.concatenate([raw.train.x for raw in self.base])).to(self.device)
        labels, first = [], 0
        for raw in self.base:
            labels.append(raw.train.y + first)
            first += len(raw.classes)
        y = torch.from_numpy(np.concatenate(labels)).to(self.device)
        for method in self.methods:
            for _ in method.prepare(self.network, x, y, self.config.seed):
                self.prepared += 1
                yield False

    def measure(self, samples: int = 0) -> None:
        """Book the time since it was last booked; as training, where it went into a step on ``samples``."""
        now = time.perf_counter()
        self.measured.seconds += now - self.lap
        if samples:
            self.measured.samples += samples
            self.measured.training_seconds += now - self.lap
        self.lap = now

    def open_task(self) -> Task:
        """Open the task's classes and tell the methods."""
        part = self.sequence[self.position.task]
        self.network.add_classes(part.classes, self.config.learning)
        number = self.position.task + 1
        task = Task(
            number,
            part.train.u,
            part.train.y,
            self.network,
            self.teacher,
            self.selected,
            self.config.seed,
            self.schedule.steps_of(self.position.task),
        )
        for method in self.methods:
            method.before_task(task)
        return task

    def train_task(self, task: Task) -> Iterator[bool]:
        """All gradient steps of one task that are still to do; yields False after each."""
        learn = self.make_step(task)
        size, position = self.config.batch_size, self.position
        for epoch in range(position.epoch, self.schedule.epochs):
            order = torch.split(self.order_of(task, epoch), size)
            for batch in range(position.batch, len(order)):
                self.network.train()
                samples = order[batch]
                learn(samples)
                position.epoch, position.batch = epoch, batch + 1
                self.measure(len(order[batch]))
                yield False
            position.epoch, position.batch = epoch + 1, 0

    def make_step(self, task: Task) -> Callable[[Tensor], None]:
        """What learns from the task's samples of given numbers; on a GPU one recorded graph, where that works."""
        step = Step(self.network, self.config.learning, self.methods, counting=False, parallel=self.parallel)
        if can_capture(step):
            return GraphStep(step, task, self.config.batch_size, capture_cuda).learn
        return partial(step.learn, task)

    def order_of(self, task: Task, epoch: int) -> Tensor:
        """The order of a task's samples in one epoch, int64 (N,), from the seed and the position alone."""
        rng = np.random.default_rng([self.config.seed, task.number, epoch])
        return torch.from_numpy(rng.permutation(len(task.y))).to(self.device)

    def close_task(self, task: Task) -> None:
        """Count, let the methods look back, pass the boundary, solve and evaluate."""
        for method in self.methods:
            method.after_task(task)
        count(self.network, task, self.parallel)
        classes = list(self.sequence[self.position.task].classes)
        told: dict[str, Any] = {"neurons": neurons(self.network)}
        for method in self.methods:
            told |= method.report()
        self.measured.tasks.append({"classes": classes, "samples": len(task.y), **told})
        self.pass_boundary()
        if self.config.analytic is not None:
            self.solve()
        known = self.parts if self.config.spec.network.all_at_once else self.parts[: self.position.task + 1]
        self.measured.rows.append(self.row([part.test for part in known]))
        if self.config.hold_out:
            self.measured.held_rows.append(self.row([part.held for part in known if part.held is not None]))
        self.position = Position(self.position.task + 1)

    def pass_boundary(self) -> None:
        """The model becomes the teacher, and its most frequent neurons are selected."""
        distill = self.config.learning.distill
        wanted = (distill.n_distill, distill.frequency) if distill else (None, "task")
        self.selected = self.network.most_frequent(*wanted)
        self.network.boundary()
        self.teacher = self.network.frozen_copy()

    def solve(self) -> None:
        """Bring the statistics up to date, and solve; a W that has changed voids those of earlier tasks."""
        assert self.config.analytic is not None
        task = self.position.task
        again = self.schedule.learns_in(task)
        data = [part.train for part in self.sequence[0 if again else task : task + 1]]
        new = analytic.gather(self.network, data, self.parallel)
        self.statistics = new if again else analytic.add(self.statistics, new)
        self.readout = analytic.solve(self.statistics, self.config.analytic, self.device)

    def row(self, parts: list[Any]) -> list[float]:
        """Accuracies on the parts of the tasks known."""
        return accuracies(self.network, parts, self.readout)

    def result(self) -> Run:
        """The run as it stands, on the CPU; with the analytic readout its solution is in place."""
        network = self.network.frozen_copy()
        if self.readout is not None and not self.schedule.learns_in(self.position.task):
            network.readout_weight.data, network.readout_bias = self.readout
        network.requires_grad_(True).cpu()
        selected = [chosen.cpu() for chosen in self.selected]
        teacher = network.frozen_copy() if self.config.readout == "gradient" else None
        run = Run(self.config, network, self.metrics(), teacher, selected, self.statistics)
        run.embeddings = self.embeddings
        return run

    def metrics(self) -> dict[str, Any]:
        """``metrics.json``; the formulas are in ``ssd_edge.training.metrics``."""
        done, config = self.measured, self.config
        matrix, held_matrix = complete(done.rows), complete(done.held_rows)
        rate = done.samples / done.training_seconds if done.training_seconds else None
        held = {"accuracy_matrix": held_matrix, **summarize(held_matrix)} if held_matrix else None
        learned = config.spec.network.learns_from_base()
        saw_all = self.statistics is not None and learned and config.base_tasks != 1
        return {
            "method": config.method,
            "readout": config.readout,
            "tasks": done.tasks,
            "accuracy_matrix": matrix,
            **summarize(matrix),
            "hold_out": held,
            "statistics_of_base_tasks_gathered_again": saw_all,
            "seconds": done.seconds,
            "samples_per_second": rate,
            "device": str(self.device),
        }
