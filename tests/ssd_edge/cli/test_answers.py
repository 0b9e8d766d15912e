"""``infer`` and ``eval``: what is asked in every form, and how the answers are told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call
from device_files import WIDTH, samples_of
from PIL import Image


def test_eval_says_how_far_confidence_can_be_believed() -> None:
    from ssd_edge.on_device.answers import calibration

    confidence = np.repeat([0.9, 0.5], [40, 20])
    right = np.r_[np.arange(40) < 34, np.arange(20) < 10]
    found = calibration(confidence, right)
    assert found == {"error": pytest.approx(40 / 60 * 0.05), "near_90": {"n": 40, "accuracy": 0.85}}
    assert calibration(np.full(3, 1.0), np.ones(3, bool)) == {"error": 0.0, "near_90": {"n": 0, "accuracy": None}}


def test_infer_takes_every_kind_of_input(taught: dict[str, Path]) -> None:
    folder = taught["folder"]
    x = samples_of(taught["base"])
    np.save(folder / "x.npy", x[:3])
    np.save(folder / "one.npy", x[0])
    np.savetxt(folder / "x.csv", x[:2].reshape(2, -1), delimiter=",")
    (folder / "images").mkdir()
    picture = Image.fromarray((x[0, 0] * 255).clip(0, 255).astype(np.uint8))
    picture.save(folder / "images" / "a.png")
    picture.convert("RGB").save(folder / "b.png")
    names = ["base.npz", "x.npy", "one.npy", "x.csv", "images", "b.png"]
    rows = ask("infer", taught["analytic"], *(folder / name for name in names))
    assert len(rows) == 80 + 3 + 1 + 2 + 1 + 1
    assert set(rows[0]) == {"label", "confidence", "source"}
    assert rows[0]["source"] == str(folder / "base.npz[0]")
    assert {row["label"] for row in rows[80:]} == {"cat"}


def test_infer_shows_the_best_and_rejects_the_unsure(taught: dict[str, Path]) -> None:
    noise = taught["folder"] / "noise.npy"
    np.save(noise, np.random.default_rng(0).random((20, WIDTH), np.float32))
    rows = ask("infer", taught["analytic"], noise, "--top", 2)
    assert [[row["label"], *row["top"][0].values()] for row in rows] == [
        [row["top"][0]["label"], row["label"], row["confidence"]] for row in rows
    ]
    middle = sorted(row["confidence"] for row in rows)[10]
    rejected = [row["label"] is None for row in ask("infer", taught["analytic"], noise, "--reject-below", middle)]
    assert rejected == [row["confidence"] < middle for row in rows]
    assert any(rejected)
    text = call("infer", taught["analytic"], noise, "--reject-below", middle)
    assert "]   unknown 0." in text.stdout


@pytest.mark.parametrize("engine", ["csr", "onnxruntime"])
def test_engines_give_the_same_answers(taught: dict[str, Path], engine: str) -> None:
    rows = ask("infer", taught["analytic"], taught["base"])
    other = ask("infer", taught["analytic"], taught["base"], "--engine", engine)
    assert [row["label"] for row in rows] == [row["label"] for row in other]
    assert ask("eval", taught["analytic"], taught["base"], "--engine", engine)["engine"] == engine


def test_eval_counts_a_class_it_does_not_know_as_wrong(taught: dict[str, Path]) -> None:
    result = call("eval", taught["analytic"], taught["all"], "--json")
    report = json.loads(result.stdout)
    assert report["per_class"]["emu"] == report["per_class"]["fox"] == 0.0
    assert report["accuracy"] < 0.55
    assert result.stderr == "note: the model does not know emu, fox\n"
