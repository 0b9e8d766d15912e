"""``ssd_edge.train_encoder``: an encoder for ``train --encoder``, from the base classes of a data set."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.encoders.folder import write_encoder
from ssd_edge.encoders.train import EncoderOptions, fit_encoder
from ssd_edge.training.api import pick_device
from ssd_edge.training.config import DeviceChoice
from ssd_edge.training.image_size import with_image_size
from ssd_edge.training.task_options import IN_MEMORY, TaskOptions, classes_until_last, fitted, load_part
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.options import require_choice


@dataclass(frozen=True)
class TrainedEncoder:
    """The result of ``train_encoder``."""

    encoder: Encoder
    report: dict[str, Any]
    """What ``ssd-edge encoder --json`` prints."""


@dataclass(frozen=True)
class EncoderConfig(TaskOptions, EncoderOptions):
    """Options of ``ssd-edge encoder``: which data and tasks, and how the encoder learns from them.

    ``hold_out`` is kept from training to measure with.
    """

    device: DeviceChoice = "auto"
    """Where to train: ``auto`` takes a GPU where there is one."""

    def __post_init__(self) -> None:
        TaskOptions.__post_init__(self)
        EncoderOptions.__post_init__(self)
        require_choice("device", self.device, get_args(DeviceChoice))


def train_encoder(
    data: str | Path | Dataset,
    config: EncoderConfig | None = None,
    *,
    output: str | Path | None = None,
    force: bool = False,
    progress: Progress = unwatched,
    **options: Any,
) -> TrainedEncoder:
    """Train a small convolutional encoder on the training part of ``data``, tasks 1 to ``until_task``.

    ``data``: as ``ssd_edge.train`` takes it; images or windows of signals. ``config``, and ``options``, which are
    fields of it and win: what is trained, and how. ``output``: ONNX file to write, for ``train(...,
    encoder=output)``; one that is there is refused without ``force``. ``progress`` counts steps.

    Raises OptionError, DataError.
    """
    source = IN_MEMORY if isinstance(data, Dataset) else str(data)
    chosen = with_image_size(dataclasses.replace(config or EncoderConfig(), data=source, **options))
    place = None if output is None else _free(Path(output), force)
    whole = load_part(chosen, "train", (data, data) if isinstance(data, Dataset) else None)
    chosen = fitted(chosen, whole)
    names = classes_until_last(chosen, whole)
    base = whole.select(names)
    rest, held = base.hold_out(chosen.hold_out, chosen.seed) if chosen.hold_out else (base, None)
    start = time.perf_counter()
    name = "encoder" if place is None else place.stem
    trained = fit_encoder(rest, chosen, held, device=pick_device(chosen.device), name=name, progress=progress)
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
