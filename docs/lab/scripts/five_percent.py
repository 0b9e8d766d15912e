"""Split Fashion-MNIST, learned by gradient on a device with five per cent of the weights: commands, by seed.

    python docs/lab/scripts/five_percent.py sketch                 # on the hold-out, seeds 0, 1 and 2
    python docs/lab/scripts/five_percent.py cosine --test          # on the test part
    python docs/lab/scripts/five_percent.py sketch -- --sketch 39 --hidden 1000

A workstation trains the first two tasks; commands that cannot import torch learn the other three. What
follows ``--`` is added to ``train``. Without --test the hold-out, a tenth of the training part, is kept apart.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ssd_edge.data import Dataset, load_data

TASKS, BASE = 5, 2
COMMON = (
    *("--signed", "--until-task", str(BASE), "--k", "10", "--lr", "16", "--clip-norm", "0.1", "--epochs", "2"),
    *("--readout-init", "0.25", "--switch", "0.4", "--set", "ssd.temperature=0.4"),
    *("--center", "0.5", "--protect", "0.01"),
)
ARMS = {
    "sketch": ("--sketch", "39", "--hidden", "1000"),
    "cosine": ("--activation", "cosine", "--hidden", "1000"),
    "plain": ("--hidden", "1000"),
}
"""What ``train`` is told; each ends with at most five per cent of 784 x 1000 weights."""
NO_TORCH = "raise ImportError('this device has no torch')\n"


def run(folder: Path, words: list[str], device: bool = False) -> dict:
    """One command and its JSON; on the ``device`` torch cannot be imported."""
    environment = dict(os.environ)
    if device:
        before = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(folder / "no-torch"), *([before] if before else [])])
    command = [sys.executable, "-m", "ssd_edge", *words, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stderr}")
    return dict(json.loads(done.stdout))


def save(path: Path, data: Dataset) -> None:
    """As ``dataset`` writes it."""
    np.savez(path, x=data.x, y=data.y, classes=np.array(data.classes))


def prepare(folder: Path, seed: int, test: bool) -> None:
    """The device's samples, a file for each task, and those that it is measured on."""
    (folder / "no-torch").mkdir()
    (folder / "no-torch" / "torch.py").write_text(NO_TORCH)
    train = load_data("fashion-mnist", split="train")
    parts = train.tasks(TASKS)
    if test:
        save(folder / "measured.npz", load_data("fashion-mnist", split="test"))
    else:
        split = [part.hold_out(0.1, seed) for part in parts]
        parts = [rest for rest, _ in split]
        x = np.concatenate([held.x for _, held in split])
        y = np.concatenate([held.y + 2 * number for number, (_, held) in enumerate(split)])
        save(folder / "measured.npz", Dataset(x, y, tuple(name for part in parts for name in part.classes)))
    for number in range(BASE, TASKS):
        save(folder / f"task{number + 1}.npz", parts[number])


def measure(folder: Path, arm: str, seed: int, test: bool, density: str, further: list[str]) -> dict:
    """Train, export, learn and measure with one seed."""
    prepare(folder, seed, test)
    held = () if test else ("--hold-out", "0.1")
    options = [*COMMON, *ARMS[arm], *held, "--seed", str(seed), *further]
    run(folder, ["train", "fashion-mnist", *options, "-o", "run"])
    run(folder, ["export", "run", "--density", density, "--inhibition", "as-trained", "-o", "model.onnx"])
    for number in range(BASE, TASKS):
        run(folder, ["learn", "model.onnx", f"task{number + 1}.npz", "--epochs", "2"], device=True)
    found = run(folder, ["eval", "model.onnx", "measured.npz"], device=True)
    told = run(folder, ["inspect", "model.onnx"], device=True)
    classes = list(found["per_class"].values())
    return {
        "accuracy": round(found["accuracy"], 4),
        "first_four": round(float(np.mean(classes[:4])), 4),
        "weights": told["layers"][0]["nonzeros"],
        "density": told["layers"][0]["density"],
        "file_bytes": told["file_bytes"],
    }


def main() -> None:
    """One line of JSON a seed, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arm", choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--test", action="store_true")
    parser.add_argument("--density", default="0.05")
    own = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    given, further = parser.parse_args(own), sys.argv[len(own) + 2 :]
    accuracies, first = [], []
    for seed in given.seeds:
        folder = Path(tempfile.mkdtemp(prefix="five-percent-"))
        try:
            found = measure(folder, given.arm, seed, given.test, given.density, further)
        finally:
            shutil.rmtree(folder)
        print(json.dumps({"seed": seed, **found}), flush=True)
        accuracies.append(found["accuracy"])
        first.append(found["first_four"])
    where = "test" if given.test else "hold-out"
    print(f"{where}: {np.mean(accuracies):.3f} +- {np.std(accuracies):.3f}, first four {np.mean(first):.3f}")


if __name__ == "__main__":
    main()
