"""Training on one task after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssd_edge.data import Dataset
from ssd_edge.encoders import Embeddings
from ssd_edge.encoders.embeddings import Advance
from ssd_edge.methods import Task
from ssd_edge.model import TopKNetwork
from ssd_edge.training import statistics as analytic
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.cuda_graph import GraphStep, can_capture, capture_cuda
from ssd_edge.training.evaluate import Readout, accuracies
from ssd_edge.training.metrics import complete, summarize
from ssd_edge.training.parallel import ALONE, Parallel
from ssd_edge.training.run import Run
from ssd_edge.training.step import Step
from ssd_edge.training.task_data import Part, joined, mean_sample, split_raw, to_parts
from ssd_edge_runtime.state import Statistics


@dataclass
class Position:
    """Where a run stands: all counted from 0, the next thing to do."""

    task: int = 0
    epoch: int = 0
    batch: int = 0


@dataclass
class Progress:
    """What has been measured so far; goes into every checkpoint."""

    rows: list[list[float]] = field(default_factory=list)
    held_rows: list[list[float]] = field(default_factory=list)
    tasks: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    """In all; training_seconds without preparation, counting and evaluation."""
    training_seconds: float = 0.0
    samples: int = 0
    """Presented in gradient steps."""


Tick = Callable[[int], None]


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
        encoding: Advance = lambda samples: None,
    ) -> None:
        """``embeddings``: of the encoder in front; ``encoding`` is called with every number of samples done."""
        self.parallel = parallel
        self.config = config.resolved()
        self.device = device
        self.embeddings = embeddings
        encode = (lambda data: data) if embeddings is None else partial(embeddings.of, advance=encoding)
        raws = split_raw(self.config, train, test, encode)
        self.base = raws[: self.config.base_tasks or 1]
        center = mean_sample(self.base) if self.config.center else None
        self.methods = self.config.spec.create(self.config.settings)
        network = self.first_network(raws[0].train.input_shape, center)
        self.network = network.to(device)
        self.parts = to_parts(raws, self.network)
        self.sequence = [joined(self.parts)] if self.config.spec.network.all_at_once else self.parts
        self.set_switch()
        self.prepared = 0
        self.position = Position()
        self.progress = Progress()
        self.teacher: TopKNetwork | None = None
        self.selected: list[Tensor] = []
        self.statistics: Statistics | None = None
        self.readout: Readout | None = None

    def first_network(self, input_shape: tuple[int, ...], center: Tensor | None) -> TopKNetwork:
        """The network before training, its weights drawn from the seed as the method wants them."""
        assert self.config.k is not None
        generator = torch.Generator().manual_seed(self.config.seed)
        widths = pairwise([int(np.prod(input_shape)), *self.config.hidden])
        first, signed = self.methods[0], not self.config.nonnegative
        weights = [first.initial_weight(n, d, generator, not signed) for d, n in widths]
        return TopKNetwork(weights, self.config.k, input_shape, center=center)

    @property
    def epochs(self) -> int:
        """Passes over each task."""
        return 1 if self.config.spec.network.single_pass else self.config.epochs

    def set_switch(self) -> None:
        """s, from its share of the samples presented in the first task; features that do not learn need none."""
        presented = len(self.sequence[0].train.y) * self.epochs
        network = self.config.spec.network
        share = self.config.switch if network.topk and network.learns_features else 0.0
        for layer in self.network.topk_layers:
            layer.switch = share * presented or None

    @property
    def steps_per_epoch(self) -> list[int]:
        """Per task."""
        size = self.config.batch_size
        return [-(-len(part.train.y) // size) for part in self.sequence]

    @property
    def total_steps(self) -> int:
        """All gradient steps of the run."""
        learning = sum(n * self.epochs for t, n in enumerate(self.steps_per_epoch) if self.learns_in(t))
        return self.prepare_steps + learning

    @property
    def prepare_steps(self) -> int:
        """Steps of the methods' own, before the first task."""
        samples = sum(len(raw.train) for raw in self.base)
        return sum(method.prepare_steps(samples) for method in self.methods)

    @property
    def steps_done(self) -> int:
        """Gradient steps behind the position."""
        at, steps = self.position, self.steps_per_epoch
        done = self.prepared if at == Position() else self.prepare_steps
        done += sum(steps[t] * self.epochs for t in range(at.task) if self.learns_in(t))
        inside = at.task < len(steps) and self.learns_in(at.task)
        return done + (at.epoch * steps[at.task] + at.batch if inside else 0)

    def learns_in(self, task: int) -> bool:
        """Whether task number ``task`` (from 0) takes gradient steps."""
        if self.config.readout == "gradient":
            return True
        assert self.config.base_tasks is not None
        base = self.config.base_tasks if not self.config.spec.network.all_at_once else 1
        return self.config.spec.network.learns_features and task < base

    def fit(self, tick: Tick) -> None:
        """Train from the position to the end; ``tick(1)`` after every step and ``tick(0)`` after every task."""
        self.lap = time.perf_counter()
        if self.position == Position():
            self.prepare(tick)
        while self.position.task < len(self.sequence):
            task = self.open_task()
            if self.learns_in(self.position.task):
                self.train_task(task, tick)
            self.close_task(task)
            self.measure()
            tick(0)

    def prepare(self, tick: Tick) -> None:
        """Let the methods learn features from the base tasks' raw samples."""
        if self.prepare_steps == 0:
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
                tick(1)

    def measure(self, samples: int = 0) -> None:
        """Book the time since it was last booked; as training, where it went into a step on ``samples``."""
        now = time.perf_counter()
        self.progress.seconds += now - self.lap
        if samples:
            self.progress.samples += samples
            self.progress.training_seconds += now - self.lap
        self.lap = now

    def open_task(self) -> Task:
        """Open the task's classes and tell the methods."""
        part = self.sequence[self.position.task]
        self.network.add_classes(part.classes, self.config.learning)
        number = self.position.task + 1
        task = Task(
            number, part.train.u, part.train.y, self.network, self.teacher, self.selected, self.config.seed
        )
        for method in self.methods:
            method.before_task(task)
        return task

    def train_task(self, task: Task, tick: Tick) -> None:
        """All gradient steps of one task that are still to do."""
        learn = self.make_step(task)
        size, position = self.config.batch_size, self.position
        for epoch in range(position.epoch, self.epochs):
            order = torch.split(self.order_of(task, epoch), size)
            for batch in range(position.batch, len(order)):
                self.network.train()
                samples = order[batch]
                learn(samples)
                position.epoch, position.batch = epoch, batch + 1
                self.measure(len(order[batch]))
                tick(1)
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
        self.count(task)
        classes = list(self.sequence[self.position.task].classes)
        self.progress.tasks.append({"classes": classes, "samples": len(task.y), "neurons": self.neurons()})
        self.pass_boundary()
        if self.config.analytic is not None:
            self.solve()
        known = self.parts if self.config.spec.network.all_at_once else self.parts[: self.position.task + 1]
        self.progress.rows.append(self.row([part.test for part in known]))
        if self.config.hold_out:
            self.progress.held_rows.append(self.row([part.held for part in known if part.held is not None]))
        self.position = Position(self.position.task + 1)

    @torch.no_grad()
    def count(self, task: Task) -> None:
        """Count which neurons fire for the task's samples as the network is now, its inhibition complete.

        The paper's p_i looks at the end of the task; counts of training steps would include the time when the
        GABA switch lets every neuron fire.
        """
        self.network.eval()
        before = self.counts()
        for chunk in analytic.chunks(Part(self.parallel.share(task.u), self.parallel.share(task.y))):
            self.network.count(self.network.codes_of(chunk.u), chunk.y)
        self.sum_new_counts(before)

    def counts(self) -> list[Tensor]:
        """Copies of everything that ``network.count`` adds to."""
        network = self.network
        totals = torch.tensor([network.samples_seen, network.task_samples], device=self.device)
        layers = [c for layer in network.topk_layers for c in (layer.activation_count, layer.task_count)]
        classes = [layer.class_count for layer in network.topk_layers]
        return [count.clone() for count in (totals, network.class_samples, *layers, *classes)]

    def sum_new_counts(self, before: list[Tensor]) -> None:
        """Add up over the processes what has been counted since."""
        if self.parallel.size == 1:
            return
        new = [now - then for now, then in zip(self.counts(), before, strict=True)]
        self.parallel.sum_(new)
        totals, class_samples, *layers = (then + more for then, more in zip(before, new, strict=True))
        self.network.samples_seen, self.network.task_samples = (int(total) for total in totals)
        self.network.class_samples = class_samples
        for i, layer in enumerate(self.network.topk_layers):
            layer.activation_count, layer.task_count = layers[2 * i], layers[2 * i + 1]
            layer.class_count = layers[2 * len(self.network.topk_layers) + i]

    def neurons(self) -> list[dict[str, int]]:
        """Per hidden layer: active in this task, of them those active before it too, never active."""
        result = []
        for layer in self.network.topk_layers:
            now, ever = layer.task_count > 0, layer.activation_count > 0
            before = layer.activation_count > layer.task_count
            counts = {"active": now, "reused": now & before, "free": ~ever}
            result.append({name: int(mask.sum()) for name, mask in counts.items()})
        return result

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
        again = self.learns_in(task)
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
        if self.readout is not None and not self.learns_in(self.position.task):
            network.readout_weight.data, network.readout_bias = self.readout
        network.requires_grad_(True).cpu()
        selected = [chosen.cpu() for chosen in self.selected]
        teacher = network.frozen_copy() if self.config.readout == "gradient" else None
        run = Run(self.config, network, self.metrics(), teacher, selected, self.statistics)
        run.embeddings = self.embeddings
        return run

    def metrics(self) -> dict[str, Any]:
        """``metrics.json``; the formulas are in ``ssd_edge.training.metrics``."""
        done, config = self.progress, self.config
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
