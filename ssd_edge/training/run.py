"""A run folder: what was trained, how, and how well."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssd_edge.data import Dataset
from ssd_edge.encoders import Embeddings
from ssd_edge.encoders.folder import check_same, load_embeddings, save_encoder
from ssd_edge.model import TopKNetwork, network_from_tensors, network_to_tensors
from ssd_edge.model.tensors import load_tensors, save_tensors
from ssd_edge.training.accuracy_plot import plot_accuracy_matrix
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.run_folder import CONFIG, METRICS, MODEL, PICTURE, check_trained
from ssd_edge.training.task_options import Memory, load_part, task_classes
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.state import Statistics
from ssd_edge_runtime.storage.atomic import write_text
from ssd_edge_runtime.storage.folders import replacing_folder


@dataclass(eq=False)
class Run:
    """A trained (or pruned) network and its surroundings."""

    config: TrainConfig
    """How it was trained, every option decided."""
    network: TopKNetwork
    """On the CPU, in inference mode. With the analytic readout its V and b are the solution."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """As ``metrics.json``: ``accuracy_matrix``, ``average_accuracy``, ..."""
    teacher: TopKNetwork | None = None
    """The model at the last task boundary; after a finished task the network itself. None before any boundary."""
    selected: list[Tensor] = field(default_factory=list)
    """Per hidden layer, the neurons distilled from that boundary on, int64 ascending."""
    statistics: Statistics | None = None
    """Of the analytic readout, over all samples trained on."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What was done to the network after training (pruning), JSON."""
    path: Path | None = None
    """Its folder, once saved or loaded."""
    memory: Memory | None = None
    """Training and test data, where the run was trained on arrays in memory."""
    embeddings: Embeddings | None = None
    """What stands in front of the network, and what it made of the data so far; None: raw samples go in."""

    @property
    def learning(self) -> LearningOptions:
        """Options of a gradient step, for the device."""
        return self.config.learning

    @property
    def analytic(self) -> AnalyticOptions | None:
        """Options of the analytic solver; None for the gradient readout."""
        return self.config.analytic

    @property
    def encoder(self) -> Encoder | None:
        """Frozen, raw samples in, the network's inputs out; None where raw samples go in."""
        return None if self.embeddings is None else self.embeddings.encoder

    @property
    def tasks_trained(self) -> int:
        """How many tasks are behind it."""
        return len(self.metrics.get("tasks", ()))

    def task_classes(self) -> list[tuple[str, ...]]:
        """Class names of every task, trained or not."""
        return task_classes(self.config, load_part(self.config, "train", self.memory))

    def training_data(self) -> Dataset:
        """All training samples of the tasks trained so far, hold-out included; classes as the network's.

        Samples are as the network takes them: with an encoder, embeddings (N, width).
        """
        return self._data("train")

    def raw_training_data(self) -> Dataset:
        """The same samples as they were given: before any encoder."""
        return load_part(self.config, "train", self.memory).restrict(self.network.classes)

    def test_data(self) -> Dataset:
        """All test samples of the tasks trained so far, as ``training_data`` gives those for training."""
        return self._data("test")

    def _data(self, split: str) -> Dataset:
        data = load_part(self.config, split, self.memory).restrict(self.network.classes)
        return data if self.embeddings is None else self.embeddings.of(data)

    def save(self, path: str | Path) -> None:
        """Write the folder: a new one appears whole or not at all; in one that is there the model comes last."""
        if Path(path).is_dir():
            self._write(Path(path))
        else:
            with replacing_folder(path) as folder:
                self._write(folder)
        self.path = Path(path)

    def _write(self, folder: Path) -> None:
        self.config.save(folder / CONFIG)
        if self.encoder is not None:
            save_encoder(folder, self.encoder)
        write_text(folder / METRICS, json.dumps(self.metrics, indent=2) + "\n")
        if self.metrics.get("accuracy_matrix"):
            title = f"{self.config.method}, {self.config.data}"
            plot_accuracy_matrix(self.metrics["accuracy_matrix"], title, folder / PICTURE)
        tensors, description = run_to_tensors(self)
        save_tensors(folder / MODEL, tensors, description)

    @classmethod
    def load(cls, path: str | Path) -> Run:
        """Read a run folder. Raises DataError where it is missing, unfinished or not a run."""
        folder = Path(path)
        check_trained(folder)
        config = TrainConfig.load(folder / CONFIG)
        tensors, description = load_tensors(folder / MODEL)
        try:
            run = run_from_tensors(config, tensors, description)
            run.metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        except (KeyError, TypeError, RuntimeError, ValueError, FileNotFoundError) as error:
            raise DataError(f"{folder}: not a whole run folder ({error})") from error
        run.embeddings = load_embeddings(folder, config.encoder)
        check_same(folder, description.get("encoder"), run.embeddings)
        run.path = folder
        return run


def run_to_tensors(run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything of a run that is not configuration or metrics."""
    tensors, network = network_to_tensors(run.network, "network.")
    description: dict[str, Any] = {"network": network, "provenance": run.provenance, "teacher": None}
    if run.encoder is not None:
        description["encoder"] = run.encoder.digest
    if run.teacher is not None:
        teacher, description["teacher"] = network_to_tensors(run.teacher, "teacher.")
        description["teacher_tensors"] = list(teacher)
        # After a boundary the teacher is the network: only what differs is stored.
        tensors |= {name: t for name, t in teacher.items() if not _same(t, tensors, name)}
    tensors |= {f"selected.{i}": chosen.cpu().clone() for i, chosen in enumerate(run.selected, 1)}
    if run.statistics is not None:
        for name in ("gram", "class_sums", "class_counts"):
            tensors[f"statistics.{name}"] = torch.from_numpy(np.array(getattr(run.statistics, name)))
    return tensors, description


def _same(tensor: Tensor, tensors: dict[str, Tensor], name: str) -> bool:
    other = tensors.get(name.replace("teacher.", "network.", 1))
    return other is not None and torch.equal(tensor, other)


def run_from_tensors(config: TrainConfig, tensors: dict[str, Tensor], description: dict[str, Any]) -> Run:
    """The run that ``run_to_tensors`` described; its metrics are still empty."""
    network = network_from_tensors(tensors, description["network"], "network.").eval()
    teacher = None
    if description["teacher"] is not None:
        own = {
            name: tensors[name] if name in tensors else tensors[name.replace("teacher.", "network.", 1)]
            for name in description["teacher_tensors"]
        }
        teacher = network_from_tensors(own, description["teacher"], "teacher.").frozen_copy()
    numbers = range(1, len(network.topk_layers) + 1)
    selected = [tensors[f"selected.{i}"] for i in numbers] if "selected.1" in tensors else []
    statistics = None
    if "statistics.gram" in tensors:
        gram, sums, counts = (tensors[f"statistics.{n}"].numpy() for n in ("gram", "class_sums", "class_counts"))
        statistics = Statistics(gram, sums, counts)
    return Run(config, network, {}, teacher, selected, statistics, description["provenance"])
