"""``on_device.infer`` and ``evaluate``: files, arrays and models in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import samples

from ssd_edge.on_device import Loading, evaluate, infer
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import OptionError


def test_files_and_arrays_get_the_same_answers(edge_file: Path, data_file: Path) -> None:
    x, _ = samples(1, 100, classes=4)
    rows = infer(edge_file, str(data_file), x, x[0])
    assert len(rows) == 201
    assert [row["label"] for row in rows[:100]] == EdgeModel.load(edge_file).predict(x).tolist()
    assert [row["label"] for row in rows[100:200]] == [row["label"] for row in rows[:100]]
    assert [rows[place]["source"] for place in (0, 100, 199, 200)] == [
        f"{data_file}[0]",
        "sample 1",
        "sample 100",
        "sample 1",
    ]
    assert rows[200]["confidence"] == rows[0]["confidence"]


def test_the_best_labels_and_those_rejected(edge_file: Path) -> None:
    x, _ = samples(3, 20)
    rows = infer(EdgeModel.load(edge_file), x, top=2)
    assert all(row["top"][0] == {"label": row["label"], "confidence": row["confidence"]} for row in rows)
    middle = sorted(row["confidence"] for row in rows)[10]
    rejected = [row["label"] is None for row in infer(edge_file, x, reject_below=middle)]
    assert rejected == [row["confidence"] < middle for row in rows]
    with pytest.raises(OptionError, match="top must be at least 1, got 0"):
        infer(edge_file, x, top=0)
    with pytest.raises(OptionError, match=r"reject-below must be between 0 and 1, got 1\.5"):
        infer(edge_file, x, reject_below=1.5)


def test_accuracy_of_a_file_and_of_a_model(edge_file: Path, data_file: Path) -> None:
    told: list[str] = []
    report = evaluate(edge_file, data_file, loading=Loading(engine="csr"), tell=told.append)
    assert told == ["note: the model does not know 3"]
    assert report["n"] == 100
    assert report["engine"] == "csr"
    assert list(report["per_class"]) == ["0", "1", "2", "3"]
    assert report["per_class"]["3"] == 0.0
    right = np.trace(np.array(report["confusion"]["counts"])[:3])
    assert report["accuracy"] == right / 100
    x, y = samples(1, 100, classes=4)
    again = evaluate(EdgeModel.load(edge_file, engine="csr"), (x, y))
    assert again == report
