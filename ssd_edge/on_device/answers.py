"""A model's answers: label and confidence per sample, and how right they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data import Reading
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.inputs import Data, Loading, Model, load_inputs, load_labelled, load_model, note_confined
from ssd_edge.on_device.keys import Keys
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.network.forward import softmax

BINS = 15
"""Of confidence, for the calibration error."""


def infer(
    model: Model,
    *inputs: Any,
    top: int = 1,
    reject_below: float = 0.0,
    reading: Reading = Reading(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> list[dict[str, Any]]:
    """Label every sample of each input: an image, a folder of images, ``.npz``, ``.npy``, ``.csv``, or an array.

    Returns ``label``, ``confidence`` (0 to 1) and ``source`` for each; with ``top`` above 1 also ``top``, the best
    labels with their confidences. Below ``reject_below`` the label is None. ``loading`` and ``keys`` are for a
    model given by its path. Raises SSDEdgeError or OSError.

    >>> infer("model.onnx", "photo.png")  # doctest: +SKIP
    [{'label': 'cat', 'confidence': 0.98, 'source': 'photo.png'}]
    """
    edge = load_model(model, loading, keys, tell)
    answers: list[dict[str, Any]] = []
    for samples in inputs:
        x, sources = load_inputs(samples, edge, reading)
        if not answers:
            note_confined(edge, tell)
        rows = answers_for(edge.predict_proba(x), edge.classes_, top, reject_below)
        answers += [{**row, "source": source} for row, source in zip(rows, sources, strict=True)]
    return answers


def answers_for(
    probabilities: Float32, classes: list[str], top: int = 1, reject_below: float = 0.0
) -> list[dict[str, Any]]:
    """``label``, ``confidence`` and, for ``top`` above 1, the best labels, per row of (N, C) probabilities."""
    OptionError.unless(top >= 1, f"top must be at least 1, got {top}")
    OptionError.unless(0 <= reject_below <= 1, f"reject-below must be between 0 and 1, got {reject_below}")
    order = (-probabilities).argsort(axis=1, kind="stable")[:, :top]
    answers = []
    for row, best in zip(probabilities, order, strict=True):
        ranked = [{"label": classes[i], "confidence": round(float(row[i]), 6)} for i in best]
        confidence = ranked[0]["confidence"]
        answer = {"label": ranked[0]["label"] if confidence >= reject_below else None, "confidence": confidence}
        answers.append(answer if top == 1 else {**answer, "top": ranked})
    return answers


def evaluate(
    model: Model,
    data: Data,
    *,
    split: str = "test",
    root: str | Path | None = None,
    reading: Reading = Reading(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Measure accuracy on labelled data; samples of classes that the model does not know count as wrong.

    ``split``, ``root`` and ``reading`` are for data given by name, ``loading`` and ``keys`` for a model given
    by its path.

    Returns ``accuracy``, ``n``, ``per_class`` (name -> accuracy, in the model's order), ``confusion`` (``actual``,
    ``predicted`` and ``counts``, rows: actual class), ``calibration`` and ``engine``. Raises SSDEdgeError or
    OSError.

    >>> evaluate("model.onnx", "test.npz")["per_class"]  # doctest: +SKIP
    {'cat': 0.98, 'dog': 0.95}
    """
    edge = load_model(model, loading, keys, tell)
    dataset = load_labelled(data, edge, split=split, root=root, reading=reading)
    note_confined(edge, tell)
    names, actual = edge.classes_, dataset.names
    logits = edge.logits(dataset.x)
    predicted = np.array(names)[logits.argmax(axis=1)]
    confidence = softmax(logits, edge.state.temperature).max(axis=1)
    report = confusion(predicted, actual, names)
    report |= {"calibration": calibration(confidence, predicted == actual), "engine": edge.engine}
    unknown = [name for name in report["per_class"] if name not in names]
    if unknown:
        tell(f"note: the model does not know {', '.join(unknown)}")
    return report


def confusion(predicted: NDArray[Any], actual: NDArray[Any], classes: list[str]) -> dict[str, Any]:
    """Accuracy, ``n``, accuracy per class that occurs, and the confusion matrix (rows: actual class)."""
    present = [name for name in classes if (actual == name).any()]
    strangers = sorted({str(name) for name in actual.tolist()} - set(classes))
    rows = present + strangers
    right = predicted == actual
    return {
        "accuracy": float(right.mean()),
        "n": len(actual),
        "per_class": {name: float(right[actual == name].mean()) for name in rows},
        "confusion": {
            "actual": rows,
            "predicted": classes,
            "counts": [[int((predicted[actual == row] == column).sum()) for column in classes] for row in rows],
        },
    }


def calibration(confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, Any]:
    """How far confidence can be believed: expected calibration error, and how often answers near 0.9 are right.

    ``error``: mean gap of confidence and accuracy over 15 equal bins, weighted by samples (Guo et al., ICML 2017).
    ``near_90``: answers of confidence .85 to .95; ``accuracy`` is null where there are none.
    """
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=confidence - right, minlength=BINS)
    near = (confidence >= 0.85) & (confidence < 0.95)
    accuracy = float(right[near].mean()) if near.any() else None
    return {
        "error": float(np.abs(gaps).sum() / len(right)),
        "near_90": {"n": int(near.sum()), "accuracy": accuracy},
    }
