"""``ssd_edge.train``: the whole run, from data to run folder."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from ssd_edge.data import Dataset
from ssd_edge.training.checkpoint import load_checkpoint, save_checkpoint
from ssd_edge.training.config import DeviceChoice, TrainConfig
from ssd_edge.training.interrupt import Interrupted, interrupt_flag
from ssd_edge.training.parallel import ALONE, Parallel, join_processes
from ssd_edge.training.run import CHECKPOINT, CONFIG, IN_MEMORY, MODEL, Run, load_data
from ssd_edge.training.trainer import Trainer
from ssd_edge_runtime.errors import DataError, OptionError

CHECKPOINT_SECONDS = 30.0
Report = Callable[[int, int], None]


def train(
    data: str | Path | Dataset,
    *,
    test: Dataset | None = None,
    out: str | Path | None = None,
    force: bool = False,
    report: Report | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    **options: Any,
) -> Run:
    """Train on a sequence of tasks.

    ``data``: as ``ssd_edge.data.load`` takes it, or a Dataset; then ``test`` is its test part (without one, a
    fixed fifth of the data is). ``out``: run folder to write, with checkpoints on the way; None keeps the run in
    memory. ``force``: replace an existing run folder. ``report``: called as ``report(steps done, of how many)``.
    ``checkpoint_seconds``: time between checkpoints. ``options``: fields of ``TrainConfig``.

    Raises OptionError, DataError; ``Interrupted`` after Ctrl-C, with the checkpoint written.

    >>> run = train("digits", tasks=5, until_task=2, hidden=(64,), epochs=1)
    >>> len(run.metrics["accuracy_matrix"])
    2
    """
    memory = _in_memory(data, test)
    source = IN_MEMORY if memory is not None else str(data)
    config = TrainConfig.from_mapping({"data": source, **options}, "train")
    with join_processes(pick_device(config.device).type == "cuda") as parallel:
        folder = Path(out) if out is not None and parallel.is_main else None
        if folder is not None and folder.exists() and not force:
            raise DataError(f"{folder}: exists already; go on with --resume or replace it with --force")
        trainer = make_trainer(config, memory, parallel)
        if folder is not None:
            begin_folder(folder, trainer.config)
        return _fit(trainer, folder, memory, report, checkpoint_seconds)


def resume(
    out: str | Path,
    *,
    until_task: int | None = None,
    device: DeviceChoice | None = None,
    data: Dataset | None = None,
    test: Dataset | None = None,
    report: Report | None = None,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
) -> Run:
    """Go on with the run in folder ``out`` from its last checkpoint, with the options in its ``config.toml``.

    ``until_task``: train further than first asked. ``data``, ``test``: again, where it was trained on arrays in
    memory. On the CPU the result is bit for bit that of a run that was never stopped.
    """
    folder = Path(out)
    if not (folder / CONFIG).is_file():
        raise DataError(f"{folder}: no run to resume")
    config = TrainConfig.load(folder / CONFIG)
    changes = {"until_task": until_task, "device": device}
    config = dataclasses.replace(config, **{n: v for n, v in changes.items() if v is not None})  # type: ignore[arg-type]
    memory = _in_memory(data, test) if data is not None else None
    with join_processes(pick_device(config.device).type == "cuda") as parallel:
        trainer = make_trainer(config, memory, parallel)
        if (folder / CHECKPOINT).is_file():
            load_checkpoint(folder / CHECKPOINT, trainer)
        elif (folder / MODEL).is_file():
            raise DataError(f"{folder}: finished, and its checkpoint is gone")
        parallel.wait()
        if parallel.is_main:
            trainer.config.save(folder / CONFIG)
        return _fit(trainer, folder if parallel.is_main else None, memory, report, checkpoint_seconds)


def make_trainer(
    config: TrainConfig, memory: tuple[Dataset, Dataset] | None = None, parallel: Parallel = ALONE
) -> Trainer:
    """A trainer at its start, data loaded."""
    train_part, test_part = (load_data(config, split, memory) for split in ("train", "test"))
    return Trainer(config, train_part, test_part, pick_device(config.device), parallel)


def pick_device(choice: DeviceChoice) -> torch.device:
    """``auto``: a GPU where torch sees one. Raises OptionError for ``cuda`` without one."""
    if choice == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: torch sees no GPU here; use --device cpu")
    return torch.device("cuda" if choice != "cpu" and torch.cuda.is_available() else "cpu")


def begin_folder(folder: Path, config: TrainConfig) -> None:
    """An empty run folder with its configuration; what an earlier run left in it goes."""
    if folder.exists() and not (folder / CONFIG).is_file() and any(folder.iterdir()):
        raise DataError(f"{folder}: not a run folder, and not empty: it is not replaced")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    config.save(folder / CONFIG)


def _in_memory(data: str | Path | Dataset, test: Dataset | None) -> tuple[Dataset, Dataset] | None:
    if not isinstance(data, Dataset):
        return None
    return (data, test) if test is not None else data.hold_out(0.2)


def _fit(
    trainer: Trainer,
    folder: Path | None,
    memory: tuple[Dataset, Dataset] | None,
    report: Report | None,
    checkpoint_seconds: float,
) -> Run:
    total, last = trainer.total_steps, time.monotonic()
    # Several processes would notice Ctrl-C at different steps and wait for one another: there it ends them.
    with interrupt_flag() if trainer.parallel.size == 1 else nullcontext(lambda: False) as pressed:

        def tick(steps: int) -> None:
            nonlocal last
            if report is not None:
                report(trainer.steps_done, total)
            due = steps == 0 or time.monotonic() - last >= checkpoint_seconds
            if folder is not None and (due or pressed()):
                save_checkpoint(folder / CHECKPOINT, trainer)
                last = time.monotonic()
            if pressed():
                raise Interrupted

        trainer.fit(tick)
    run = trainer.result()
    run.memory = memory
    if folder is not None:
        run.save(folder)
    return run
