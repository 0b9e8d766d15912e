"""``ssd_edge.train``: the whole run, from data to run folder."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.encoders import CACHE, Embeddings, make_encoder
from ssd_edge.encoders.folder import load_embeddings, save_encoder
from ssd_edge.training.checkpoint import load_checkpoint, save_checkpoint
from ssd_edge.training.config import DeviceChoice, TrainConfig
from ssd_edge.training.image_size import with_image_size
from ssd_edge.training.interrupt import Interrupted, interrupt_flag
from ssd_edge.training.parallel import ALONE, Parallel, join_processes
from ssd_edge.training.run import Run
from ssd_edge.training.run_folder import CHECKPOINT, CONFIG, MODEL, check_begun, check_new
from ssd_edge.training.task_options import IN_MEMORY, Memory, in_memory, load_part
from ssd_edge.training.trainer import Trainer
from ssd_edge_runtime.errors import DataError, OptionError

CHECKPOINT_SECONDS = 30.0


def train(
    data: str | Path | Dataset,
    config: TrainConfig | None = None,
    *,
    test: Dataset | None = None,
    output: str | Path | None = None,
    force: bool = False,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    embeddings: Embeddings | None = None,
    progress: Progress = unwatched,
    encoding: Progress = unwatched,
    **options: Any,
) -> Run:
    """Train on a sequence of tasks.

    ``data``: as ``ssd_edge.load_data`` takes it, or a Dataset; then ``test`` is its test part (without one, a
    fixed fifth of the data is). ``config``, and ``options``, which are fields of it and win: what is trained, and
    how. ``output``: run folder to write, with checkpoints every ``checkpoint_seconds``; None keeps the run in
    memory. ``force``: replace an existing run folder. ``embeddings``: what several runs behind one encoder share;
    None makes the encoder anew, and keeps embeddings beside ``output``. ``progress`` counts steps; ``encoding``
    counts samples, while an encoder makes embeddings of them.

    Raises OptionError, DataError; ``Interrupted`` after Ctrl-C, with the checkpoint written.

    >>> run = train("digits", tasks=5, until_task=2, hidden=(64,), epochs=1)
    >>> len(run.metrics["accuracy_matrix"])
    2
    """
    memory = in_memory(data, test)
    source = IN_MEMORY if memory is not None else str(data)
    config = with_image_size((config or TrainConfig()).changed({"data": source, **options}, "train"))
    OptionError.unless(
        embeddings is None or config.encoder is not None, "embeddings go with an encoder: give its name, too"
    )
    with join_processes(pick_device(config.device).type == "cuda") as parallel:
        folder = Path(output) if output is not None and parallel.is_main else None
        if folder is not None:
            check_new(folder, force)
        with parallel.main_first():
            given = embeddings or partial(_embeddings, config, None if output is None else Path(output), parallel)
            trainer = make_trainer(config, memory, parallel, given, encoding)
            if folder is not None:
                begin_folder(folder, trainer.config, trainer.embeddings)
        return _fit(trainer, folder, memory, progress, checkpoint_seconds)


def resume(
    run: str | Path,
    *,
    until_task: int | None = None,
    device: DeviceChoice | None = None,
    data: Dataset | None = None,
    test: Dataset | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    progress: Progress = unwatched,
    encoding: Progress = unwatched,
) -> Run:
    """Go on with the run in folder ``run`` from its last checkpoint, with the options in its ``config.toml``.

    ``until_task``: train further than first asked. ``data``, ``test``: again, where it was trained on arrays in
    memory. On the CPU the result is bit for bit that of a run that was never stopped.
    """
    folder = Path(run)
    check_begun(folder)
    config = TrainConfig.load(folder / CONFIG)
    changes = {"until_task": until_task, "device": device}
    config = dataclasses.replace(config, **{n: v for n, v in changes.items() if v is not None})  # type: ignore[arg-type]
    memory = None if data is None else in_memory(data, test)
    with join_processes(pick_device(config.device).type == "cuda") as parallel:
        with parallel.main_first():
            embeddings = load_embeddings(folder, config.encoder)
            trainer = make_trainer(config, memory, parallel, embeddings, encoding)
        if (folder / CHECKPOINT).is_file():
            load_checkpoint(folder / CHECKPOINT, trainer)
        elif (folder / MODEL).is_file():
            raise DataError(f"{folder}: finished, and its checkpoint is gone")
        parallel.wait()
        if parallel.is_main:
            trainer.config.save(folder / CONFIG)
        return _fit(trainer, folder if parallel.is_main else None, memory, progress, checkpoint_seconds)


def make_trainer(
    config: TrainConfig,
    memory: Memory | None = None,
    parallel: Parallel = ALONE,
    embeddings: Embeddings | Callable[[tuple[int, ...]], Embeddings | None] | None = None,
    encoding: Progress = unwatched,
) -> Trainer:
    """A trainer at its start, data loaded and, with ``embeddings`` (or what makes them for a shape), encoded."""
    train_part, test_part = (load_part(config, split, memory) for split in ("train", "test"))
    opened = embeddings(train_part.input_shape) if callable(embeddings) else embeddings
    return Trainer(config, train_part, test_part, pick_device(config.device), parallel, opened, encoding)


def _embeddings(
    config: TrainConfig, place: Path | None, parallel: Parallel, input_shape: tuple[int, ...]
) -> Embeddings | None:
    """Of the encoder of a new run at ``place``; processes beside the main one find it there."""
    if config.encoder is None:
        return None
    if place is not None and not parallel.is_main:
        return load_embeddings(place, config.encoder)
    encoder = make_encoder(config.encoder, input_shape, weights=config.encoder_weights, size=config.encoder_size)
    return Embeddings(encoder, None if place is None else place.parent / CACHE)


def pick_device(choice: DeviceChoice) -> torch.device:
    """``auto``: a GPU where torch sees one. Raises OptionError for ``cuda`` without one."""
    if choice == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: torch sees no GPU here; use --device cpu")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def begin_folder(folder: Path, config: TrainConfig, embeddings: Embeddings | None = None) -> None:
    """A run folder with its configuration and encoder alone; what an earlier run left in it goes."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    if embeddings is not None:
        save_encoder(folder, embeddings.encoder)
    config.save(folder / CONFIG)


def _fit(
    trainer: Trainer, folder: Path | None, memory: Memory | None, progress: Progress, checkpoint_seconds: float
) -> Run:
    total, last = trainer.schedule.total_steps, time.monotonic()
    # Several processes would notice Ctrl-C at different steps and wait for one another: there it ends them.
    with interrupt_flag() if trainer.parallel.size == 1 else nullcontext(lambda: False) as pressed:
        for task_ends in trainer.fit():
            progress(trainer.steps_done, total)
            due = task_ends or time.monotonic() - last >= checkpoint_seconds
            if folder is not None and (due or pressed()):
                save_checkpoint(folder / CHECKPOINT, trainer)
                last = time.monotonic()
            if pressed():
                raise Interrupted
    run = trainer.result()
    run.memory = memory
    if folder is not None:
        run.save(folder)
    return run
