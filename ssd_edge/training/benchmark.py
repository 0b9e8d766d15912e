"""Training speed against a plain PyTorch loop of the same function, side by side in one process.

python -m ssd_edge.training.benchmark --hidden 1000 --batch-size 128
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from ssd_edge.data import load
from ssd_edge.methods import Task, parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training.step import Step
from ssd_edge_runtime.options import LearningOptions


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

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes) of samples (N, d); counts on the way."""
        a = torch.relu(self.hidden(functional.normalize(x, eps=1e-12)))
        inhibition = torch.topk(a, self.k + 1).values[:, -1:].detach()
        if self.switch is not None:
            inhibition = inhibition * (-1 + 2 * self.count / self.switch).clamp(-1, 1)
        z = torch.relu(a - inhibition)
        self.count += (z > 0).sum(0)
        logits: Tensor = self.output(z)
        return logits


def plain_epoch(network: PlainNetwork, loader: DataLoader[tuple[Tensor, ...]]) -> None:
    """One epoch with DataLoader, dense autograd and torch's own SGD and clip."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    for x, y in loader:
        loss = functional.cross_entropy(network(x), y)
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
        step(task.u.index_select(0, batch), task.y[batch], task)


def make_pair(data: str, hidden: int, k: int, samples: int) -> tuple[TopKNetwork, Tensor, Tensor]:
    """A fresh network and the first task (of five) of a data set, (N, d) and (N,)."""
    first = load(data).tasks(5)[0]
    chosen = np.random.default_rng(0).permutation(len(first))[:samples]
    x = torch.from_numpy(first.x[chosen].reshape(len(chosen), -1))
    network = TopKNetwork.create((x.shape[1],), [hidden], [k])
    network.add_classes([str(i) for i in range(10)])
    return network, x, torch.from_numpy(first.y[chosen])


def measure(data: str, hidden: int, k: int, batch_size: int, samples: int, runs: int) -> Iterator[dict[str, Any]]:
    """Samples a second of both loops, alternating: with inhibition complete, and while all neurons still fire."""
    for settled in (True, False):
        network, x, y = make_pair(data, hidden, k, samples)
        network.topk_layers[0].switch = None if settled else 1e9
        plain = PlainNetwork(network)
        loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, shuffle=True)
        step = Step(network, LearningOptions(distill=None), parse_method("sdmlp").create({}), counting=False)
        task = Task(1, network.preprocess(x), y, network, None, [], 0)
        seconds: dict[str, list[float]] = {"plain": [], "ssd_edge": []}
        for run in range(runs + 1):
            for name in seconds:
                begun = time.perf_counter()
                plain_epoch(plain, loader) if name == "plain" else our_epoch(step, task, batch_size)
                if run:  # The first warms up.
                    seconds[name].append(time.perf_counter() - begun)
        rates = {name: len(y) / statistics.median(values) for name, values in seconds.items()}
        yield {
            "phase": "settled" if settled else "switching",
            "samples_per_second": rates,
            "ratio": rates["ssd_edge"] / rates["plain"],
            "raw_seconds": seconds,
        }


@click.command()
@click.option("--data", default="fashion-mnist", show_default=True, help="Its first task of five is learned.")
@click.option("--hidden", default=1000, show_default=True)
@click.option("--k", default=10, show_default=True)
@click.option("--batch-size", default=128, show_default=True)
@click.option("--samples", default=4096, show_default=True, help="Per epoch.")
@click.option("--runs", default=5, show_default=True, help="Epochs measured of each.")
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
        click.echo(
            f"{result['phase']:<10} ssd_edge {ours:9,.0f}/s  plain {plain:9,.0f}/s  ratio {ours / plain:.2f}"
        )


if __name__ == "__main__":
    main()
