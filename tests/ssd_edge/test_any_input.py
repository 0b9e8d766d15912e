"""Any input: raw values in, labels out, from training to learning on the device, by commands alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import ask
from PIL import Image

pytestmark = pytest.mark.usefixtures("trial_here")

CLASSES = ("one", "two", "three", "four")
PER_CLASS = 60


def waves(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """float32 (N, *shape) between 0 and 1: a wave of another length and phase per class, in noise; labels (N,)."""
    rng = np.random.default_rng(seed)
    y = np.arange(len(CLASSES) * PER_CLASS) % len(CLASSES)
    t = np.arange(int(np.prod(shape))).reshape(shape) / shape[-1]
    wave = np.stack([np.sin(2 * np.pi * (label + 1) * t + label) for label in range(len(CLASSES))])
    x = 0.5 + 0.3 * wave[y] + 0.1 * rng.standard_normal((len(y), *shape))
    return x.clip(0, 1).astype(np.float32), y


def write_npz(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    names = np.array(CLASSES)[np.unique(y)]
    np.savez(path.with_suffix(".npz"), x=x, y=np.searchsorted(np.unique(y), y), classes=names)
    return str(path.with_suffix(".npz"))


def write_bytes(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    return write_npz(path, (255 * x).round().astype(np.uint8), y)


def write_sensor(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    """In the sensor's own units, far from 0 to 1."""
    return write_npz(path, 40 * x - 300, y)


def write_csv(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    rows = [[*(f"v{i}" for i in range(x[0].size)), "label"]]
    rows += [[*map(str, sample.ravel()), CLASSES[label]] for sample, label in zip(x, y, strict=True)]
    path.with_suffix(".csv").write_text("\n".join(map(",".join, rows)) + "\n")
    return str(path.with_suffix(".csv"))


def write_images(path: Path, x: np.ndarray, y: np.ndarray) -> str:
    for number, (sample, label) in enumerate(zip(x, y, strict=True)):
        (path / CLASSES[label]).mkdir(parents=True, exist_ok=True)
        pixels = (255 * sample).round().astype(np.uint8).transpose(1, 2, 0)
        Image.fromarray(pixels.squeeze()).save(path / CLASSES[label] / f"{number:03}.png")
    return str(path)


INPUTS = {
    "windows": ((48,), write_sensor),
    "windows as bytes": ((48,), write_bytes),
    "windows, 3 channels": ((3, 32), write_sensor),
    "table": ((24,), write_csv),
    "gray images": ((1, 8, 8), write_images),
    "gray images as bytes": ((1, 8, 8), write_bytes),
    "color images": ((3, 8, 10), write_images),
    "embeddings": ((16,), write_npz),
}


CASES = [
    pytest.param(kind, behind, id=f"{kind}-{'encoder' if behind else 'raw'}", marks=marks)
    for kind in INPUTS
    for behind in (False, True)
    for marks in [[pytest.mark.slow] if behind and kind not in ("windows", "gray images") else []]
]


@pytest.mark.parametrize(("kind", "behind"), CASES)
def test_from_training_to_learning(
    kind: str, behind: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shape, write = INPUTS[kind]
    (x, y), (more, labels) = waves(shape, seed=1), waves(shape, seed=2)
    order = ["--class-order", ",".join(CLASSES), "--tasks", 2, "--until-task", 1]
    data = write(Path("data"), x, y)
    front: list[object] = []
    if behind:
        ask("encoder", data, *order, "--width", 64, "--epochs", 2, "--batch-size", 16, "-o", "encoder.onnx")
        front = ["--encoder", "encoder.onnx"]
    ask("train", data, *front, *order, "--method", "random", "--hidden", 80, "--k", 20, "-o", "run")
    ask("prune", "run", "--density", 0.3, "-o", "pruned")
    assert ask("export", "pruned", "-o", "model.onnx")["classes"] == list(CLASSES[:2])
    assert ask("inspect", "model.onnx")["input_shape"] == list(shape)
    checks = ask("verify", "model.onnx", "--against", "pruned")["checks"]
    assert all(check["ok"] for check in checks)
    new = y >= 2
    report = ask("learn", "model.onnx", write(Path("new"), x[new], y[new]))
    assert sorted(report["classes_added"]) == sorted(CLASSES[2:])
    test = write(Path("test"), more, labels)
    found = {engine: ask("eval", "model.onnx", test, "--engine", engine) for engine in ("csr", "onnxruntime")}
    assert found["csr"]["accuracy"] == found["onnxruntime"]["accuracy"] >= 0.9
    answers = ask("infer", "model.onnx", test)
    named = np.mean(
        [answer["label"] == name for answer, name in zip(answers, names_in(test, labels), strict=True)]
    )
    assert named == pytest.approx(found["csr"]["accuracy"])


def names_in(test: str, labels: np.ndarray) -> list[str]:
    """Class names in the order in which ``infer`` answers: that of the file, or of the paths in a folder."""
    if Path(test).is_dir():
        return [path.parent.name for path in sorted(Path(test).rglob("*.png"))]
    return [CLASSES[label] for label in labels]
