"""What a stream writes in a day by itself: ``python docs/lab/scripts/stream_writes.py`` prints it as a table.

Random models of 784 inputs at 5 % density, ten classes and k = 10; the bytes of a record are measured, the rest is
counting. Takes a minute on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from flash import CLASSES, INPUTS, KINDS, amount

from ssd_edge.on_device.stream_checkpoints import FILE_PACE, JOURNAL_PACE
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.checkpoints import Checkpoints

DAY, PAGE = 24 * 60 * 60, 4096
FLUSHED_PAGES = 3
"""A flush of a file that has grown writes its last page again, its inode and the filesystem's own log."""
LESSONS = 200


def sizes(model: EdgeModel, folder: Path) -> tuple[int, float]:
    """Bytes of the file and of the journal's record of one sample."""
    target = folder / "model.onnx"
    rng = np.random.default_rng(0)
    model.partial_fit(rng.random((LESSONS, INPUTS), np.float32), rng.integers(0, CLASSES, LESSONS))
    model.save(target)
    checkpoints = Checkpoints(model, target, {})
    checkpoints.begin()
    before = checkpoints.size
    if checkpoints.whole:
        return target.stat().st_size, 0.0
    for number in range(LESSONS):
        model.partial_fit(rng.random((1, INPUTS), np.float32), [int(rng.integers(CLASSES))])
        checkpoints.write({"samples": number + 1}, sync=False)
    return target.stat().st_size, (checkpoints.size - before) / LESSONS


def by_journal(rate: float, file: int, record: float) -> tuple[float, float]:
    """Bytes and saves of a day: records, pages at each flush, and the file when the journal has outgrown it."""
    samples = rate * DAY
    every, seconds = JOURNAL_PACE
    flushes = min(samples, max(samples / every, DAY / seconds))
    saves = samples * record / max(file, record * every)
    return samples * record + flushes * FLUSHED_PAGES * PAGE + saves * file, saves


def by_file(rate: float, file: int) -> tuple[float, float]:
    """The same where each checkpoint is the whole file."""
    samples = rate * DAY
    every, seconds = FILE_PACE
    saves = min(samples, max(samples / every, DAY / seconds))
    return saves * (file + FLUSHED_PAGES * PAGE), saves


def main() -> None:
    """A row for each width, readout and rate."""
    print("| hidden | readout | file | a record | samples a second | saves a day | written a day |")
    print("|---|---|---|---|---|---|---|")
    for name, make in KINDS.items():
        for hidden in (1000, 4000):
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                file, record = sizes(make(hidden), Path(folder))
            for rate in (0.1, 1.0, 10.0):
                written, saves = by_journal(rate, file, record) if record else by_file(rate, file)
                noted = f"{record:.0f} bytes" if record else "none"
                kind = f"{hidden} | {name} | {amount(file)} | {noted}"
                print(f"| {kind} | {rate:g} | {saves:.0f} | {amount(written)} |")


if __name__ == "__main__":
    main()
