"""The whole job on scikit-learn's digits: train, prune, export, then learn and forget where there is no torch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge.data import Dataset, load_data, save_npz
from ssd_edge_runtime.errors import DataError, EdgeModelError, MissingExtraError
from ssd_edge_runtime.storage.atomic import write_text

TASKS, BASE_TASKS = 5, 4
HIDDEN, K, EPOCHS, DENSITY = 500, 100, 10, 0.2
BASE = tuple("01234567")
"""The first tasks' classes; the device learns the others."""
FORGOTTEN = "0"
SUMMARY = "demo.json"
BLOCKED = ("torch", "torchvision", "sklearn", "matplotlib", "safetensors")
DEVICE = f"import sys; sys.modules.update(dict.fromkeys({BLOCKED})); from ssd_edge.cli import main; main()"
"""A process in which importing torch fails, as on a device where it is not installed."""

Tell = Callable[[str], None]


def run_demo(output: str | Path, *, seed: int = 0, tell: Tell = lambda message: None) -> dict[str, Any]:
    """Run every step, keep the files under ``output``, and return what happened.

    ``seed`` reaches training and pruning; ``tell`` hears what is being done. An earlier demo in ``output`` goes.
    Raises MissingExtraError without the train extra, DataError where ``output`` holds something else.
    """
    begun = time.perf_counter()
    folder = fresh_folder(Path(output))
    steps = _train(folder, seed, tell)
    steps += _device(folder, tell)
    tell("measuring latency and memory")
    bench = on_device("bench", folder / "learned.onnx", *BENCH)
    write_text(folder / "bench.json", json.dumps(bench))
    summary = {
        "out": str(folder),
        "steps": steps,
        "size": sizes(folder),
        "latency": latencies(bench),
        "seconds": round(time.perf_counter() - begun, 1),
    }
    write_text(folder / SUMMARY, json.dumps(summary, indent=2) + "\n")
    return summary


BENCH = ("--engines", "csr,onnxruntime-dense", "--processes", 3, "--seconds", 0.2, "--batches", 1)


def fresh_folder(folder: Path) -> Path:
    """An empty folder; an earlier demo in it is removed, anything else refused."""
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / SUMMARY).is_file():
            raise DataError(f"{folder}: exists and holds no earlier demo: name another folder with -o")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / SUMMARY, "{}\n")  # so that an interrupted demo can be run again
    return folder


def on_device(command: str, *args: object) -> Any:
    """What a device command answers with ``--json``, run in a process that cannot import torch."""
    call = [sys.executable, "-c", DEVICE, command, *map(str, args), "--json"]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        raise EdgeModelError(f"{command} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _train(folder: Path, seed: int, tell: Tell) -> list[dict[str, Any]]:
    """On the workstation: data, training, pruning, export."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("demo") from error
    from ssd_edge import train
    from ssd_edge_export import PruneOptions, export_model, prune

    tell("reading the digits")
    everything, test = load_data("digits"), load_data("digits", split="test")
    base, new = BASE, everything.classes[len(BASE) :]
    save_npz(folder / "test.npz", test)
    save_npz(folder / "new.npz", everything.select(new))
    tell(f"training on the digits {base[0]} to {base[-1]}, {BASE_TASKS} tasks one after the other")
    begun = time.perf_counter()
    run = train(
        "digits",
        readout="analytic",
        tasks=TASKS,
        until_task=BASE_TASKS,
        hidden=(HIDDEN,),
        k=(K,),
        epochs=EPOCHS,
        seed=seed,
        device="cpu",
        output=folder / "run",
    )
    seconds = time.perf_counter() - begun
    with torch.no_grad():
        logits = run.network(torch.from_numpy(test.select(base).x)).numpy()
    right = _accuracy(logits, run.network.classes, test.select(base))
    tell(f"pruning to {DENSITY:.0%} of the weights, exporting")
    export_model(prune(run, PruneOptions(DENSITY, seed=seed)), folder / "model.onnx")
    trained = {"old": right, "all": right, "seconds": round(seconds, 2)}
    return [
        {"step": "trained", "where": "torch", "classes": list(base), **trained},
        {"step": "pruned and exported", **_judged(folder / "model.onnx")},
    ]


def _device(folder: Path, tell: Tell) -> list[dict[str, Any]]:
    """On the device: learn two classes, forget one."""
    learned, forgot = folder / "learned.onnx", folder / "forgot.onnx"
    tell("learning the digits 8 and 9 without torch, without the earlier data")
    report = on_device("learn", folder / "model.onnx", folder / "new.npz", "-o", learned)
    learning = {"added": report["classes_added"], "samples": report["samples"], "seconds": report["seconds"]}
    after = {"step": f"learned {' and '.join(report['classes_added'])}", **_judged(learned), **learning}
    tell(f"forgetting the digit {FORGOTTEN}")
    on_device("forget", learned, "--class", FORGOTTEN, "-o", forgot)
    return [after, {"step": f"forgot {FORGOTTEN}", **_judged(forgot)}]


def _judged(model: Path) -> dict[str, Any]:
    """Accuracy on test images of the classes that the model knows: the first eight, the later two, all."""
    confusion = on_device("eval", model, model.with_name("test.npz"))["confusion"]
    known = confusion["predicted"]
    counts = dict(zip(confusion["actual"], confusion["counts"], strict=True))
    old = [name for name in known if name in BASE]
    parts = {"old": old, "new": [name for name in known if name not in old], "all": known}
    shares = {
        part: sum(counts[name][known.index(name)] for name in names) / sum(sum(counts[name]) for name in names)
        for part, names in parts.items()
        if names
    }
    return {"where": "device", "classes": known, **shares}


def _accuracy(logits: np.ndarray[Any, Any], classes: list[str], data: Dataset) -> float:
    return float((np.array(classes)[logits.argmax(axis=1)] == data.names).mean())


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of the learned model with and without its learning state, and of the same function dense."""
    from ssd_edge_runtime import model_file

    state = model_file.load(folder / "learned.onnx")
    return {
        "inference_bytes": len(model_file.to_bytes(state, learning_state=False)),
        "with_learning_state_bytes": (folder / "learned.onnx").stat().st_size,
        "dense_float32_bytes": len(model_file.to_dense_onnx(state)),
    }


def latencies(bench: dict[str, Any]) -> dict[str, float]:
    """Medians at batch 1 in microseconds."""
    medians = {(row["engine"], row["operation"]): row["p50_us"] for row in bench["results"]}
    names = {
        "predict_us": ("csr", "predict"),
        "predict_onnxruntime_dense_us": ("onnxruntime-dense", "predict"),
        "learn_us": ("csr", "learn"),
    }
    return {name: medians[key] for name, key in names.items() if key in medians}
