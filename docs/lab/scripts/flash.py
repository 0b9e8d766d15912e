"""What saves and checkpoints write to storage: ``python docs/lab/scripts/flash.py`` prints it as a table.

Random models of 784 inputs at 5 % density and ten classes. Takes a minute on one core.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from ssd_edge_bench.reference_models import Case, random_features, random_state
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.checkpoints import Checkpoints

INPUTS, CLASSES, SAMPLES, REPEATS = 784, 10, 100, 5
MINUTES, HOURS = 24 * 60, 24


def gradient(hidden: int) -> EdgeModel:
    """Learns by gradient; stored as float32."""
    return EdgeModel(random_state(Case(INPUTS, hidden, 0.05, CLASSES)))


def closed_form(hidden: int) -> EdgeModel:
    """Has the closed-form readout; stored as float16."""
    state = random_features(INPUTS, hidden, 10, 0.05, np.zeros(INPUTS, np.float32), 0)
    return EdgeModel(dataclasses.replace(state, values_type="float16"))


KINDS: dict[str, Callable[[int], EdgeModel]] = {"gradient, float32": gradient, "analytic, float16": closed_form}


def lesson(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples and labels between two checkpoints."""
    rng = np.random.default_rng(seed)
    return rng.random((SAMPLES, INPUTS), np.float32), rng.integers(0, CLASSES, SAMPLES)


def timed(work: Callable[[], object]) -> float:
    """Milliseconds."""
    begun = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begun)


def measured(model: EdgeModel, folder: Path) -> tuple[int, float, float, float]:
    """Bytes of the file, bytes of a checkpoint, and milliseconds of a checkpoint and of a save."""
    target = folder / "model.onnx"
    model.partial_fit(*lesson(0))
    model.save(target)
    checkpoints = Checkpoints(model, target, {})
    checkpoints.begin()
    before, sizes, times, saves = checkpoints.size, [], [], []
    for repeat in range(1, REPEATS + 1):
        model.partial_fit(*lesson(repeat))
        times.append(timed(partial(checkpoints.write, {"samples": SAMPLES * repeat})))
        sizes.append(checkpoints.size - (0 if checkpoints.whole else before))
        before = checkpoints.size
    for repeat in range(REPEATS):
        model.partial_fit(*lesson(repeat))
        saves.append(timed(partial(model.save, target)))
    return target.stat().st_size, *(statistics.median(each) for each in (sizes, times, saves))


def amount(size: float) -> str:
    """Bytes, for people."""
    unit, name = next((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")) if size >= u)
    return f"{size / unit:.3g} {name}"


def main() -> None:
    """A row for each width and readout."""
    print("| hidden | readout | file | one save an hour | a checkpoint | one a minute | full saves instead |")
    print("|---|---|---|---|---|---|---|")
    for name, make in KINDS.items():
        for hidden in (1000, 4000):
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                file, record, checkpoint_ms, save_ms = measured(make(hidden), Path(folder))
            cells = [
                amount(file),
                f"{amount(HOURS * file)} a day",
                f"{amount(record)}, {checkpoint_ms:.0f} ms",
                f"{amount(MINUTES * record)} a day",
                f"{amount(MINUTES * file)} a day, {save_ms:,.0f} ms each",
            ]
            print(f"| {hidden} | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
