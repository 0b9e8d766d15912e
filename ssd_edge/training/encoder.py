"""``ssd_edge.train_encoder``: an encoder for ``train --encoder``, from the base classes of a data set."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge.data import Dataset
from ssd_edge.encoders.folder import write_encoder
from ssd_edge.encoders.train import EncoderOptions, fit_encoder
from ssd_edge.training.api import pick_device
from ssd_edge.training.config import DeviceChoice, TrainConfig
from ssd_edge.training.run import IN_MEMORY, load_data, task_classes
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import DataError


@dataclass(frozen=True)
class TrainedEncoder:
    """The result of ``train_encoder``."""

    encoder: Encoder
    report: dict[str, Any]
    """What ``ssd-edge encoder --json`` prints."""


def train_encoder(
    data: str | Path | Dataset,
    output: str | Path | None = None,
    *,
    force: bool = False,
    device: DeviceChoice = "auto",
    hold_out: float = 0.0,
    tasks: int = 5,
    until_task: int | None = None,
    classes: tuple[str, ...] = (),
    class_order: int | tuple[str, ...] | None = None,
    data_root: str | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> TrainedEncoder:
    """Train a small convolutional encoder on the training part of ``data``, tasks 1 to ``until_task``.

    ``data`` and what splits it: as ``ssd_edge.train``; images or windows of signals. ``output``: ONNX file to
    write, for ``train(..., encoder=output)``; one that is there is refused without ``force``. ``hold_out``: share
    of the samples kept from training, to measure with. ``report``: called as ``report(steps done, of how many)``.
    ``options``: fields of ``EncoderOptions``.

    Raises OptionError, DataError.
    """
    chosen = EncoderOptions(**options)
    place = None if output is None else _free(Path(output), force)
    source = IN_MEMORY if isinstance(data, Dataset) else str(data)
    config = TrainConfig(source, data_root, classes, tasks, until_task, class_order=class_order, hold_out=hold_out)
    whole = load_data(config, "train", (data, data) if isinstance(data, Dataset) else None)
    names = [name for task in task_classes(config, whole)[: config.last_task] for name in task]
    base = whole.select(names)
    rest, held = base.hold_out(hold_out, chosen.seed) if hold_out else (base, None)
    start = time.perf_counter()
    name = "encoder" if place is None else place.stem
    trained = fit_encoder(rest, chosen, held, device=pick_device(device), name=name, report=report)
    told = {
        "out": None if place is None else str(place),
        "classes": names,
        "samples": len(rest),
        "epochs": chosen.passes(len(rest)),
        "input_shape": list(trained.encoder.input_shape),
        "width": trained.encoder.width,
        "bytes": len(trained.encoder.to_onnx()),
        "digest": trained.encoder.digest,
        "training_accuracy": trained.accuracy,
        "hold_out_accuracy": trained.held,
        "seconds": time.perf_counter() - start,
    }
    if place is not None:
        write_encoder(place, trained.encoder)
    return TrainedEncoder(trained.encoder, told)


def _free(place: Path, force: bool) -> Path:
    if place.is_dir() or not place.parent.is_dir():
        raise DataError(f"{place}: is a folder" if place.is_dir() else f"{place.parent}: no such folder")
    if place.exists() and not force:
        raise DataError(f"{place}: exists already; replace it with --force")
    return place
