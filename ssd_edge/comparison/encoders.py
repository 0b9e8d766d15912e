"""Encoders and embeddings that the runs of a comparison share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, in_parts, unwatched
from ssd_edge.encoders import CACHE, Embeddings, make_encoder
from ssd_edge.encoders.folder import write_encoder
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.task_options import classes_until_last, load_part
from ssd_edge_runtime.encoder import import_encoder

ENCODERS = "encoders"


@dataclass(frozen=True)
class Front:
    """An encoder on disk, for a process to load: what stands in front of one run."""

    path: Path
    name: str
    digest: str
    cache: Path

    def open(self) -> Embeddings:
        """Its embeddings, those computed before found again."""
        return Embeddings(import_encoder(self.path, self.name), self.cache)


class Fronts:
    """The encoders of several configurations, each made once, under a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[tuple[object, ...], Front] = {}

    def of(self, config: TrainConfig) -> Front | None:
        """The encoder in front of a run with ``config``; None if samples go in raw. Raises what making it does."""
        if config.encoder is None:
            return None
        told = (config.encoder, config.encoder_weights, config.encoder_size, config.data, config.data_root)
        if told not in self._made:
            self._made[told] = self._make(config)
        return self._made[told]

    def _make(self, config: TrainConfig) -> Front:
        assert config.encoder is not None
        shape = load_part(config, "train").input_shape
        encoder = make_encoder(config.encoder, shape, weights=config.encoder_weights, size=config.encoder_size)
        place = self.folder / ENCODERS / f"{encoder.digest[:32]}.onnx"
        place.parent.mkdir(parents=True, exist_ok=True)
        write_encoder(place, encoder)
        return Front(place, encoder.name, encoder.digest, self.folder / CACHE)

    def encode(self, configs: Iterable[TrainConfig], progress: Progress = unwatched) -> None:
        """Compute ahead all embeddings that runs with ``configs`` will ask for, each once; progress in samples."""
        for front, parts in self._parts(configs).values():
            embeddings, done = front.open(), in_parts(progress, sum(map(len, parts)))
            for part in parts:
                embeddings.of(part, done)

    def _parts(self, configs: Iterable[TrainConfig]) -> dict[object, tuple[Front, list[Dataset]]]:
        found: dict[object, tuple[Front, list[Dataset]]] = {}
        for config in configs:
            front = self.of(config)
            told = (front, config.data, config.data_root, config.classes, config.class_order)
            key = (*told, config.task_count, config.last_task)
            if front is not None and key not in found:
                found[key] = front, needed(config, *(load_part(config, s) for s in ("train", "test")))
        return found


def needed(config: TrainConfig, train: Dataset, test: Dataset) -> list[Dataset]:
    """The samples of the tasks to train, of both parts."""
    names = classes_until_last(config, train)
    return [train.select(names), test.restrict(names)]
