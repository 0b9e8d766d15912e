"""``forget``, ``rename``, ``merge``, ``history`` and ``rollback`` as functions."""

from __future__ import annotations

import dataclasses
import os
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from small_models import samples

from ssd_edge.cli.history import as_text
from ssd_edge.on_device import Saving, forget, history, learn, merge, rename, rollback
from ssd_edge_runtime import EdgeModel, EdgeModelError, storage
from ssd_edge_runtime.errors import DataError, OptionError


def test_a_class_is_forgotten_and_purged(edge_file: Path, data_file: Path) -> None:
    learn(edge_file, data_file)
    report = forget(edge_file, "3", purge=True)
    assert (report["forgotten"], report["purged"], report["unlearned"]) == (["3"], True, 0)
    assert EdgeModel.load(edge_file).classes_ == report["classes"] == ["0", "1", "2"]
    assert [row["current"] for row in history(edge_file)["generations"]] == [True]


def test_samples_are_unlearned_exactly(edge_file: Path) -> None:
    x, y = samples(4, 30)
    before = EdgeModel.load(edge_file).logits(x)
    learn(edge_file, (x, y))
    assert not np.allclose(EdgeModel.load(edge_file).logits(x), before, atol=1e-3)
    assert forget(edge_file, data=(x, y))["unlearned"] == 30
    np.testing.assert_allclose(EdgeModel.load(edge_file).logits(x), before, rtol=1e-4, atol=1e-4)


def test_a_gradient_readout_is_dampened(gradient_file: Path) -> None:
    x, y = samples(5, 90)
    learn(gradient_file, (x, y))
    report = forget(gradient_file, ["1"], (x, y))
    assert report["classes"] == ["0", "2"]
    row = report["dampened"][0]
    assert row["class"] == "1"
    assert 0 < row["dampened"] <= row["weights"]
    with pytest.raises(DataError, match="no samples of '0'"):
        forget(gradient_file, "0", (x[y == 2], y[y == 2]))


def test_nothing_to_forget_is_refused(edge_file: Path) -> None:
    with pytest.raises(OptionError, match="nothing to forget"):
        forget(edge_file)
    with pytest.raises(EdgeModelError, match="unknown class 'yak'"):
        forget(edge_file, "yak")


def test_rename_and_back_by_rollback(edge_file: Path) -> None:
    report = rename(edge_file, "0", "zero")
    assert report["renamed"] == {"from": "0", "to": "zero"}
    assert EdgeModel.load(edge_file).classes_ == ["zero", "1", "2"]
    document = history(str(edge_file))
    assert document["file"] == str(edge_file)
    assert [row["classes"][0] for row in document["generations"]] == ["zero", "0"]
    assert rollback(edge_file)["classes"] == ["0", "1", "2"]
    assert EdgeModel.load(edge_file).classes_ == ["0", "1", "2"]
    with pytest.raises(EdgeModelError, match="cannot go back to generation 9"):
        rollback(edge_file, 9)


def test_what_was_rejected_stays_so(edge_file: Path) -> None:
    for name in ("bad", "worse"):
        rename(edge_file, "0", name)
        assert rollback(edge_file)["classes"] == ["0", "1", "2"]
    rows = history(edge_file)["generations"]
    assert [row["previous"] for row in rows] == [rows[2]["digest"]] * 2 + [None]
    assert rollback(edge_file, rows[0]["digest"][:8])["classes"] == ["worse", "1", "2"]


@pytest.mark.parametrize("time", [-1, -(10**10), 10**11, 253402300800, 2**33])
def test_a_file_of_any_time_has_a_history(edge_file: Path, time: int) -> None:
    os.utime(edge_file, (time, time))
    (row,) = history(edge_file)["generations"]
    assert row["time"] is None or datetime.fromisoformat(row["time"]).timestamp() == edge_file.stat().st_mtime


def test_times_that_are_no_date_are_null(edge_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which times a file can have depends on the filesystem."""
    for time in (1e20, -1e20, 1e300, float("nan"), 253402300800.0):
        found = dataclasses.replace(storage.history(edge_file)[0], time=time)
        monkeypatch.setattr(storage, "history", lambda path, found=found: [found])
        assert history(edge_file)["generations"][0]["time"] is None
        monkeypatch.undo()
    assert as_text(history(edge_file)["generations"][0] | {"time": None}).startswith("*    1  no date  ")


def test_what_two_devices_learned_is_merged(edge_file: Path, data_file: Path, tmp_path: Path) -> None:
    x, y = samples(6, 30)
    a, b, both = (tmp_path / f"{name}.onnx" for name in ("a", "b", "both"))
    learn(edge_file, data_file, saving=Saving(a))
    learn(edge_file, (x, y), saving=Saving(b))
    report = merge([a, b], edge_file, both)
    assert report["merged"] == [str(a), str(b)]
    assert report["samples_seen"] == 60 + 100 + 30
    learn(a, (x, y))
    np.testing.assert_allclose(EdgeModel.load(both).logits(x), EdgeModel.load(a).logits(x), rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="merge needs at least two models, got 1"):
        merge([a], edge_file, both)
