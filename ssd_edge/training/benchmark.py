"""Training speed against a plain PyTorch loop of the same function, side by side in one process.

python -m ssd_edge.training.benchmark --hidden 1000 --batch-size 128
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ssd_edge.data import load_data
from ssd_edge.methods import Task, parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training.step import Step
from ssd_edge_runtime.options import DistillOptions, LearningOptions


class PlainNetwork(nn.Module):
    """What one writes first: two linear layers and a Top-K, all gradients dense."""

    def __init__(self, network: TopKNetwork) -> None:
        super().__init__()
        layer = network.topk_layers[0]
        self.k, self.switch = layer.k, layer.switch
        self.hidden = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], bias=False)
        self.output = nn.Linear(layer.weight.shape[0], len(network.classes), bias=False)
        self.count: Tensor
        self.register_buffer("count", layer.inhibition_count.clone())
        self.hidden.weight.data.copy_(layer.weight)
        self.output.weight.data.copy_(network.readout_weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (N, n) and logits (N, classes) of samples (N, d); counts on the way."""
        a = torch.relu(self.hidden(functional.normalize(x, eps=1e-12)))
        inhibition = torch.topk(a, self.k + 1).values[:, -1:].detach()
        if self.switch is not None:
            inhibition = inhibition * (-1 + 2 * self.count / self.switch).clamp(-1, 1)
        z = torch.relu(a - inhibition)
        self.count += (z > 0).sum(0)
        return z, self.output(z)


@dataclass
class PlainTeacher:
    """SSD's distillation as one writes it first: the teacher runs on every batch."""

    network: PlainNetwork
    selected: Tensor
    options: DistillOptions = field(default_factory=DistillOptions)

    def loss(self, cross_entropy: Tensor, x: Tensor, z: Tensor, logits: Tensor) -> Tensor:
        """``alpha CE + (1 - alpha) [lambda L_hidden + (1 - lambda) L_logits]``."""
        o = self.options
        with torch.no_grad():
            teacher_z, teacher_logits = self.network(x)
        hidden = self.divergence(z[:, self.selected], teacher_z[:, self.selected])
        output = self.divergence(logits, teacher_logits)
        distillation = o.lambda_hidden * hidden + (1 - o.lambda_hidden) * output
        return o.alpha * cross_entropy + (1 - o.alpha) * distillation

    def divergence(self, student: Tensor, teacher: Tensor) -> Tensor:
        """``T^2 KL(student || teacher)``."""
        t = self.options.temperature
        p, q = functional.log_softmax(student / t, 1), functional.log_softmax(teacher / t, 1)
        return t**2 * functional.kl_div(q, p, reduction="batchmean", log_target=True)


def plain_epoch(
    network: PlainNetwork, loader: DataLoader[tuple[Tensor, ...]], teacher: PlainTeacher | None = None
) -> None:
    """One epoch with DataLoader, dense autograd and torch's own SGD and clip."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for x, y in loader:
        z, logits = network(x)
        loss = functional.cross_entropy(logits, y)
        if teacher is not None:
            loss = teacher.loss(loss, x, z, logits)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for value in network.parameters():
                value.clamp_(min=0)
            network.hidden.weight.copy_(functional.normalize(network.hidden.weight, eps=1e-12))


def our_epoch(step: Step, task: Task, batch_size: int) -> None:
    """One epoch as the trainer runs it."""
    step.network.train()
    for batch in torch.split(torch.randperm(len(task.y), device=task.y.device), batch_size):
        step.learn(task, batch)


def make_pair(data: str, hidden: int, k: int, samples: int) -> tuple[TopKNetwork, Tensor, Tensor]:
    """A fresh network and the first task (of five) of a data set, (N, d) and (N,)."""
    first = load_data(data).tasks(5)[0]
    chosen = np.random.default_rng(0).permutation(len(first))[:samples]
    x = torch.from_numpy(first.x[chosen].reshape(len(chosen), -1))
    network = TopKNetwork.create((x.shape[1],), [hidden], [k])
    network.add_classes([str(i) for i in range(10)], LearningOptions())
    return network, x, torch.from_numpy(first.y[chosen])


def measure(data: str, hidden: int, k: int, batch_size: int, samples: int, runs: int) -> Iterator[dict[str, Any]]:
    """Samples a second of both loops, alternating, in three phases of training.

    ``switching``: all neurons still fire; ``settled``: inhibition is complete; ``distilling``: SSD with a teacher.
    """
    for phase in ("switching", "settled", "distilling"):
        network, x, y = make_pair(data, hidden, k, samples)
        network.topk_layers[0].switch = 1e9 if phase == "switching" else None
        method = parse_method("ssd" if phase == "distilling" else "sdmlp").create({})
        plain = PlainNetwork(network)
        loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True)
        step = Step(network, LearningOptions(distill=None), method, counting=False)
        task = Task(1, network.preprocess(x), y, network, None, [], 0)
        teacher = None
        if phase == "distilling":
            task.teacher, task.selected = network.frozen_copy(), network.most_frequent()
            teacher = PlainTeacher(PlainNetwork(network), task.selected[0])
        seconds: dict[str, list[float]] = {"plain": [], "ssd_edge": []}
        for run in range(runs + 1):
            begun = time.perf_counter()
            plain_epoch(plain, loader, teacher)
            between = time.perf_counter()
            for part in method if run == 0 else ():
                part.before_task(task)
            our_epoch(step, task, batch_size)
            if run:  # The first warms up.
                seconds["plain"].append(between - begun)
                seconds["ssd_edge"].append(time.perf_counter() - between)
        rates = {name: len(y) / statistics.median(values) for name, values in seconds.items()}
        yield {
            "phase": phase,
            "samples_per_second": rates,
            "ratio": rates["ssd_edge"] / rates["plain"],
            "spread": max(spread(values) for values in seconds.values()),
            "raw_seconds": seconds,
        }


def spread(values: list[float]) -> float:
    """Half the interquartile range as a share of the median: above .1 the run was not quiet."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return (high - low) / (2 * middle)


@click.command()
@click.option("--data", default="fashion-mnist", show_default=True, help="Its first task of five is learned.")
@click.option("--hidden", default=1000, show_default=True)
@click.option("--k", default=10, show_default=True)
@click.option("--batch-size", default=128, show_default=True)
@click.option("--samples", default=4096, show_default=True, help="Per epoch.")
@click.option("--runs", default=9, show_default=True, help="Epochs measured of each.")
@click.option("--threads", default=1, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Raw seconds and ratios.")
def main(
    data: str, hidden: int, k: int, batch_size: int, samples: int, runs: int, threads: int, as_json: bool
) -> None:
    """Compare the trainer's step with a plain PyTorch loop of the same function."""
    torch.set_num_threads(threads)
    results = list(measure(data, hidden, k, batch_size, samples, runs))
    if as_json:
        click.echo(json.dumps(results, indent=2))
        return
    for result in results:
        rates = result["samples_per_second"]
        assert isinstance(rates, dict)
        ours, plain = rates["ssd_edge"], rates["plain"]
        quiet = "" if result["spread"] <= 0.1 else f", unquiet run (spread {result['spread']:.0%})"
        line = f"{result['phase']:<10} ssd_edge {ours:9,.0f}/s  plain {plain:9,.0f}/s  ratio {ours / plain:.2f}"
        click.echo(line + quiet)


if __name__ == "__main__":
    main()
