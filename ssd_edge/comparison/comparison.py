"""``ssd_edge.compare``: several methods, several seeds, one table."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch

from ssd_edge.comparison.encoders import Front, Fronts
from ssd_edge.comparison.plots import plot_comparison
from ssd_edge.comparison.rows import Row, make_rows
from ssd_edge.comparison.table import Comparison, summarize_rows
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.methods.registry import is_everywhere
from ssd_edge.training.api import train
from ssd_edge.training.config import TrainConfig
from ssd_edge.training.image_size import decided_size
from ssd_edge.training.task_options import TaskOptions, fitted, load_part
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.storage.atomic import write_text
from ssd_edge_runtime.storage.folders import scratch

RAW, DOCUMENT, TABLE = "raw", "comparison.json", "table.txt"


def compare(
    data: str | Path,
    methods: Sequence[str] = (),
    *,
    seeds: int = 3,
    rows: Sequence[Mapping[str, Any]] = (),
    widths: Sequence[int] = (),
    jobs: int | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    progress: Progress = unwatched,
    encoding: Progress = unwatched,
    **options: Any,
) -> Comparison:
    """Train every method with every seed and put the figures into one table.

    ``methods``: as in ``--method``, with ``+analytic`` or ``+gradient`` for the readout. ``rows``: further rows,
    each a mapping with ``method``, ``name`` and options of its own. The rows ``random+analytic`` and ``joint`` are
    always there. ``seeds``: runs per row, seeded 0, 1, ... ``jobs``: processes side by side (default: one per
    core, one on a GPU; one where a method is known in this process alone). ``output``: folder for the table,
    JSON, plots and each run's figures; with ``resume`` the runs that are in it are not repeated. ``progress``
    counts runs; ``encoding`` counts samples, while an encoder makes the embeddings that all rows and seeds share.
    ``options``: fields of ``TrainConfig``, for all rows.

    Raises OptionError, DataError.
    """
    OptionError.unless(seeds >= 1, f"seeds must be at least 1, got {seeds}")
    OptionError.unless(jobs is None or jobs >= 1, f"jobs must be at least 1, got {jobs}")
    options |= _image_size(str(data), options)
    if options.get("tasks") is None:
        chosen = TrainConfig().changed({"data": str(data), **options}, "compare")
        options["tasks"] = fitted(chosen, load_part(chosen, "train")).tasks
    table = make_rows({"data": str(data), **options}, methods, rows, widths)
    folder = None if output is None else _folder(Path(output), resume, force)
    configs = {_key(row, seed): row.seeded(seed) for row in table for seed in range(seeds)}
    with scratch() if folder is None else nullcontext(folder) as place:
        fronts = Fronts(place)
        told = {key: {"config": _as_json(config), **_front(fronts, config)} for key, config in configs.items()}
        found = _kept(folder, told)
        missing = {key: (config, fronts.of(config)) for key, config in configs.items() if key not in found}
        fronts.encode((config for config, _ in missing.values()), encoding)
        for key, metrics in _run_all(missing, jobs):
            found[key] = metrics
            if folder is not None:
                kept = {**told[key], "metrics": metrics}
                write_text(folder / RAW / f"{key}.json", json.dumps(kept, indent=2) + "\n")
            progress(len(found), len(configs))
    results = [[found[_key(row, seed)] for seed in range(seeds)] for row in table]
    comparison = summarize_rows(str(data), table, results)
    if folder is not None:
        write_text(folder / DOCUMENT, json.dumps(comparison.document, indent=2) + "\n")
        write_text(folder / TABLE, comparison.text() + "\n")
        plot_comparison(comparison.document, folder)
    return comparison


def _image_size(data: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The size of pictures for all rows, where it is not given."""
    reading = {name: options[name] for name in ("image_size", "image_fit") if name in options}
    given = TaskOptions(data=data, **reading)
    size = decided_size(given, options.get("encoder"), options.get("encoder_size"))
    return {} if size is None else {"image_size": size}


def _folder(folder: Path, resume: bool, force: bool) -> Path:
    if folder.exists() and not (resume or force):
        raise DataError(f"{folder}: exists already; go on with --resume or replace it with --force")
    if folder.exists() and any(folder.iterdir()) and not (folder / RAW).is_dir():
        raise DataError(f"{folder}: not the folder of a comparison, and not empty")
    if force and not resume and folder.exists():
        shutil.rmtree(folder)
    (folder / RAW).mkdir(parents=True, exist_ok=True)
    return folder


def _key(row: Row, seed: int) -> str:
    return f"{re.sub(r'[^A-Za-z0-9.=+-]+', '_', row.name)}-seed{seed}"


def _as_json(config: TrainConfig) -> Any:
    return json.loads(json.dumps(dataclasses.asdict(config)))


def _front(fronts: Fronts, config: TrainConfig) -> dict[str, str]:
    front = fronts.of(config)
    return {} if front is None else {"encoder": front.digest}


def _kept(folder: Path | None, told: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of runs done before, as long as their configuration and their encoder are the same."""
    found: dict[str, Any] = {}
    if folder is None:
        return found
    for key, asked in told.items():
        path = folder / RAW / f"{key}.json"
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            metrics = kept.pop("metrics")
            if kept == asked:
                found[key] = metrics
    return found


def _run_all(runs: Mapping[str, tuple[TrainConfig, Front | None]], jobs: int | None) -> Iterator[tuple[str, Any]]:
    jobs, cores = _processes([config for config, _ in runs.values()], jobs)
    if jobs <= 1:
        yield from ((key, _run_one(*run)) for key, run in runs.items())
        return
    with workers(jobs) as pool:
        begun = [pool.submit(_worker, (key, *run, max(1, cores // jobs))) for key, run in runs.items()]
        yield from (run.result() for run in as_completed(begun))


def _processes(configs: Sequence[TrainConfig], jobs: int | None) -> tuple[int, int]:
    """How many train side by side, and on how many cores in all."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_gpu = torch.cuda.is_available() and any(config.device != "cpu" for config in configs)
    alone = not all(is_everywhere(name) for config in configs for name in config.spec.names)
    return (1 if alone else min(jobs or (1 if on_gpu else cores), len(configs))), cores


@contextmanager
def workers(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes, ended with whatever ends their use. Raises OptionError where one ends by itself."""
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _ignore_interrupt)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise OptionError(
            "a process that trains could not start, or was ended, as where memory runs out: try --jobs 1"
        ) from error
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _ignore_interrupt() -> None:
    """Ctrl-C reaches the whole process group; the parent ends the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _worker(work: tuple[str, TrainConfig, Front | None, int]) -> tuple[str, Any]:
    key, config, front, threads = work
    torch.set_num_threads(threads)
    return key, _run_one(config, front)


def _run_one(config: TrainConfig, front: Front | None) -> Any:
    embeddings = None if front is None else front.open()
    return train(config.data, config, embeddings=embeddings).metrics
