"""The sequence of tasks as tensors, resident on the training device."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, in_parts, unwatched
from ssd_edge.encoders import Embeddings
from ssd_edge.model import TopKNetwork
from ssd_edge.model.network import EPSILON
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.task_options import task_classes
from ssd_edge_runtime.errors import DataWarning


@dataclass(frozen=True)
class Part:
    """Preprocessed samples ``u`` float32 (N, d) and labels ``y`` int64 (N,), indices over all tasks' classes."""

    u: Tensor
    y: Tensor


@dataclass(frozen=True)
class TaskParts:
    """One task's classes and data."""

    classes: tuple[str, ...]
    train: Part
    held: Part | None
    test: Part


@dataclass(frozen=True)
class Raw:
    """One task's classes and data before preprocessing; labels count within the task."""

    classes: tuple[str, ...]
    train: Dataset
    held: Dataset | None
    test: Dataset


def split_raw(
    config: TrainConfig,
    train: Dataset,
    test: Dataset,
    embeddings: Embeddings | None = None,
    encoding: Progress = unwatched,
) -> list[Raw]:
    """The tasks up to the last one to train, of those tasks ``embeddings`` in place of samples, where given.

    ``encoding``: progress in samples while these are made. Raises DataError where a class has no samples.
    """
    names = task_classes(config, train)[: config.last_task]
    tests = [samples_to_test(test, classes) for classes in names]
    parts = train.tasks(config.task_count, config.class_order)[: len(names)] + tests
    if embeddings is not None:
        part = in_parts(encoding, sum(map(len, parts)))
        parts = [embeddings.of(data, part) for data in parts]
    raws = []
    for classes, whole, test_part in zip(names, parts, parts[len(names) :], strict=False):
        rest, held = whole.hold_out(config.hold_out, config.seed) if config.hold_out else (whole, None)
        raws.append(Raw(classes, rest, held, test_part))
    return raws


def samples_to_test(test: Dataset, classes: Sequence[str]) -> Dataset:
    """What a task is tested on; DataWarning names classes that it lacks. Raises DataError where it lacks all."""
    found = {name for name, count in zip(test.classes, test.counts(), strict=True) if count}
    missing = [repr(name) for name in classes if name not in found]
    if 0 < len(missing) < len(classes):
        there = f"{test.source}: no samples" if test.source else "no samples to test with"
        told = f"{there} of class {', '.join(missing)}: its accuracy is not measured"
        warnings.warn(told, DataWarning, stacklevel=3)
    return test.restrict(classes)


def mean_sample(raws: list[Raw], *, normalized: bool = False) -> Tensor:
    """Mean of the training samples, or of them divided by their lengths, float32 (d,), summed in float64."""
    total = torch.zeros(int(np.prod(raws[0].train.input_shape)), dtype=torch.float64)
    for raw in raws:
        x = torch.from_numpy(raw.train.x.reshape(len(raw.train), -1))
        total += (functional.normalize(x, eps=EPSILON) if normalized else x).double().sum(0)
    return (total / sum(len(raw.train) for raw in raws)).float()


def to_parts(raws: list[Raw], network: TopKNetwork) -> list[TaskParts]:
    """Preprocess every task's data once, on the network's device."""
    parts, first = [], 0
    for raw in raws:
        held = _part(raw.held, first, network) if raw.held is not None else None
        train, test = (_part(data, first, network) for data in (raw.train, raw.test))
        parts.append(TaskParts(raw.classes, train, held, test))
        first += len(raw.classes)
    return parts


def _part(data: Dataset, first: int, network: TopKNetwork) -> Part:
    x, y = torch.from_numpy(data.x).to(network.device), torch.from_numpy(data.y + first).to(network.device)
    return Part(network.preprocess(x), y)


def joined(parts: list[TaskParts]) -> TaskParts:
    """All tasks as one, for joint training."""
    held = [part.held for part in parts if part.held is not None]
    return TaskParts(
        tuple(name for part in parts for name in part.classes),
        concatenate([part.train for part in parts]),
        concatenate(held) if held else None,
        concatenate([part.test for part in parts]),
    )


def concatenate(parts: list[Part]) -> Part:
    """Several parts one after the other."""
    return Part(torch.cat([part.u for part in parts]), torch.cat([part.y for part in parts]))
