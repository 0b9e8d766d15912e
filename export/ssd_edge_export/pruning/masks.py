"""Pruning a network to its Top-K-active weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKLayer, TopKNetwork, normalize_rows
from ssd_edge_export.options import Budget, Criterion, PruneOptions
from ssd_edge_export.passes import batches
from ssd_edge_export.pruning import budget, importance
from ssd_edge_export.pruning.activity import LayerActivity, least_active, observe
from ssd_edge_runtime.arrays import Float32, Float64, Int64
from ssd_edge_runtime.errors import OptionError

LEAST = 0.1
"""Under the firing budget every row keeps at least this part of an even share."""


@dataclass(frozen=True, eq=False)
class Pruned:
    """A pruned network and what was done."""

    network: TopKNetwork
    report: dict[str, Any]
    """JSON: options as resolved; per layer shape, nonzeros, density, empty rows, reserve, dropped neurons."""


def resolve(criterion: Criterion, *, learned: bool) -> tuple[Criterion, str]:
    """The criterion that ``auto`` stands for, and why (docs/how-to/prune.md has the figures behind it).

    Any other is returned as it is, with no reason.
    """
    if criterion != "auto":
        return criterion, ""
    if not learned:
        return "random", "random weights carry no information that could rank them"
    return (
        "sampled",
        "a draw weighted by |w| keeps rows more different from one another than the largest weights do",
    )


def resolve_budget(choice: Budget, *, learned: bool, analytic: bool, to_come: bool) -> tuple[Budget, str]:
    """The budget that ``auto`` stands for, and why; any other is returned as it is, with no reason.

    ``to_come``: whether the network is to learn further tasks.
    """
    if choice != "auto":
        return choice, ""
    if not learned or analytic:
        return "row", "every neuron may matter to classes to come"
    if to_come:
        return "row", "tasks are to come, and free neurons can only be won for them at equal length"
    return "firing", "a trained readout listens to neurons that fire, so that is where weights go"


def prune_network(
    network: TopKNetwork,
    x: Float32,
    options: PruneOptions,
    activities: list[LayerActivity] | None = None,
    fit: Callable[[TopKNetwork, list[LayerActivity]], None] = lambda pruned, activities: None,
    progress: Progress = unwatched,
) -> Pruned:
    """Prune a copy of ``network``, by what its layers do on ``x`` float32 (N, *input_shape); rows renormalized.

    Criterion and budget must be resolved. ``activities``: what ``observe`` gave, where it is known. ``fit`` may
    change what is kept, before inactive neurons are dropped. ``progress`` counts the samples of each pass.

    Raises OptionError for a network pruned below ``density`` already.
    """
    check_density(network, options.density)
    densities = layer_densities(network, options.density)
    rng = np.random.default_rng(options.seed)
    activities = activities or observe(network, x, progress)
    layers = network.topk_layers
    scores = [score(layer, seen, options.criterion, rng) for layer, seen in zip(layers, activities, strict=True)]
    reserves = [least_active(seen.activation_count, options.reserve) for seen in activities]
    for layer, importances, reserve, density in zip(layers, scores, reserves, densities, strict=True):
        chosen = random_rows(layer, reserve, density, rng)
        importances[reserve] = np.where(chosen, np.inf, -np.inf)
    shares = [
        row_shares(layer, seen, reserve, density)
        for layer, seen, reserve, density in zip(layers, activities, reserves, densities, strict=True)
    ]
    pruned = with_masks(network, budget.masks(scores, densities, options.budget, shares))
    fit(pruned, activities)
    dropped: list[Int64] = [np.zeros(0, np.int64) for _ in reserves]
    if options.drop_inactive:
        dropped = inactive(pruned, x, reserves, progress)
        pruned = without_neurons(pruned, dropped)
    return Pruned(pruned, describe(pruned, options, reserves, dropped))


def layer_densities(network: TopKNetwork, density: float) -> list[float]:
    """Share of each layer's weights to keep.

    Behind a sketch the first layer has fewer than one that sees the whole input; ``density`` counts against that
    one, so all of its weights stay where they are no more than that.
    """
    first, *others = network.topk_layers
    return [min(1.0, density * network.input_width / first.weight.shape[1]), *(density for _ in others)]


def check_density(network: TopKNetwork, density: float) -> None:
    """Raise OptionError where a layer has fewer weights left than ``density`` asks to keep."""
    densities = layer_densities(network, density)
    for number, (layer, wanted) in enumerate(zip(network.topk_layers, densities, strict=True), 1):
        if layer.mask is not None:
            now = float(layer.mask.float().mean())
            OptionError.unless(
                wanted <= now + 1e-9,
                f"density {density:g} is above what pruning has left of hidden{number} ({now:.4g})",
            )


def score(layer: TopKLayer, seen: LayerActivity, criterion: Criterion, rng: np.random.Generator) -> Float64:
    """Importance of every weight of a layer, float64 (n, d); ``-inf`` where pruned already."""
    weight = layer.weight.detach().cpu().numpy()
    if criterion == "activity":
        scores = importance.activity(weight, seen.active_input, seen.mean_input)
    elif criterion == "magnitude":
        scores = importance.magnitude(weight)
    elif criterion == "sampled":
        scores = importance.sampled(weight, rng)
    else:
        assert criterion == "random", criterion
        scores = importance.random(weight, rng)
    if layer.mask is not None:
        scores[~layer.mask.cpu().numpy()] = -np.inf
    return scores


def row_shares(layer: TopKLayer, seen: LayerActivity, reserve: Int64, density: float) -> Int64:
    """Weights of each row under the firing budget, int64 (n,), together as many as under the row budget.

    The reserve keeps even shares, every other row at least ``LEAST`` of one.
    """
    rows, width = layer.weight.shape
    even = budget.kept(width, density)
    most = np.full(rows, width) if layer.mask is None else layer.mask.sum(1).cpu().numpy()
    least = np.full(rows, max(1, round(LEAST * even)))
    least[reserve] = even
    most[reserve] = np.minimum(most[reserve], even)
    return budget.firing_shares(seen.activation_count, np.minimum(least, most), most, rows * even)


def random_rows(layer: TopKLayer, rows: Int64, density: float, rng: np.random.Generator) -> budget.Mask:
    """A random mask of each of ``rows``, bool (rows, d)."""
    weight = layer.weight.detach().cpu().numpy()[rows]
    if layer.mask is not None:
        weight = weight * layer.mask.cpu().numpy()[rows]
    return budget.masks([importance.random(weight, rng)], [density], "row")[0]


@torch.no_grad()
def with_masks(network: TopKNetwork, masks: Sequence[budget.Mask]) -> TopKNetwork:
    """A copy that keeps only the masked weights; rows renormalized, counts kept."""
    pruned = copy.deepcopy(network)
    for layer, mask in zip(pruned.topk_layers, masks, strict=True):
        kept = torch.from_numpy(mask).to(network.device)
        layer.mask = kept if layer.mask is None else kept & layer.mask
        layer.apply_mask()
        layer.weight.copy_(normalize_rows(layer.weight))
    return pruned


def inactive(
    network: TopKNetwork, x: Float32, reserves: Sequence[Int64], progress: Progress = unwatched
) -> list[Int64]:
    """Per layer the neurons, int64 ascending, that never matter on ``x`` and are not in its reserve.

    At least k + 1 neurons stay in every layer.
    """
    dropped = []
    for layer, count, reserve in zip(
        network.topk_layers, decisive_counts(network, x, progress), reserves, strict=True
    ):
        silent = np.setdiff1d(np.flatnonzero(count == 0), reserve)
        dropped.append(silent[: max(0, len(count) - layer.k - 1)].astype(np.int64))
    return dropped


@torch.no_grad()
def decisive_counts(network: TopKNetwork, x: Float32, progress: Progress = unwatched) -> list[Int64]:
    """Samples in which each neuron fires or, as the (k+1)-th largest, sets I; int64 (n,) per layer."""
    counts = [torch.zeros(layer.weight.shape[0], dtype=torch.int64) for layer in network.topk_layers]
    for u, codes in batches(network, x, progress):
        for layer, count, inputs in zip(network.topk_layers, counts, [u, *codes], strict=False):
            a = layer.activate(inputs)
            least = torch.topk(a, layer.k + 1, dim=1).values[:, -1:]
            count += ((a >= least) & (a > 0)).sum(0).cpu()
    return [count.numpy() for count in counts]


@torch.no_grad()
def without_neurons(network: TopKNetwork, dropped: Sequence[Int64]) -> TopKNetwork:
    """A copy without these neurons: their rows, the next layer's columns for them, their counts."""
    smaller = copy.deepcopy(network)
    columns = torch.arange(network.topk_layers[0].weight.shape[1], device=network.device)
    for layer, gone in zip(smaller.topk_layers, dropped, strict=True):
        rows = torch.from_numpy(np.setdiff1d(np.arange(layer.weight.shape[0]), gone)).to(network.device)
        layer.weight = torch.nn.Parameter(layer.weight[rows][:, columns])
        if layer.mask is not None:
            layer.mask = layer.mask[rows][:, columns]
        for name in ("inhibition_count", "activation_count", "task_count"):
            setattr(layer, name, getattr(layer, name)[rows])
        layer.class_count = layer.class_count[:, rows]
        columns = rows
    smaller.readout_weight = torch.nn.Parameter(smaller.readout_weight[:, columns])
    return smaller


def describe(
    network: TopKNetwork, options: PruneOptions, reserves: Sequence[Int64], dropped: Sequence[Int64]
) -> dict[str, Any]:
    """The report of a pruning: options and what each layer has become."""
    layers = []
    for number, (layer, reserve, gone) in enumerate(zip(network.topk_layers, reserves, dropped, strict=True), 1):
        assert layer.mask is not None
        per_row, width = layer.mask.sum(1), layer.mask.shape[1]
        layers.append(
            {
                "name": f"hidden{number}",
                "shape": list(layer.weight.shape),
                "nonzeros": int(per_row.sum()),
                "density": int(per_row.sum()) / (len(per_row) * (network.input_width if number == 1 else width)),
                "empty_rows": int((per_row == 0).sum()),
                "reserve": len(reserve),
                "dropped": len(gone),
            }
        )
    return {
        "density": options.density,
        "criterion": options.criterion,
        "budget": options.budget,
        "reserve": options.reserve,
        "seed": options.seed,
        "layers": layers,
    }
