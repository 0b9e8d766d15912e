"""``forget``: classes and samples leave a model, exactly where the readout is analytic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import ask, refused
from device_files import NAMES, make_data, samples_of

from ssd_edge_runtime import EdgeModel


def test_forget_removes_a_class_and_purge_its_traces(taught: dict[str, Path]) -> None:
    ask("learn", taught["analytic"], taught["new"])
    report = ask("forget", taught["analytic"], "--class", "dog", "--purge")
    assert report["forgotten"] == ["dog"]
    assert report["classes"] == ["cat", "emu", "fox"]
    assert [row["current"] for row in ask("history", taught["analytic"])["generations"]] == [True]
    assert ask("eval", taught["analytic"], taught["all"])["per_class"]["dog"] == 0.0


def test_forget_data_is_never_having_seen_it(taught: dict[str, Path]) -> None:
    x = samples_of(taught["base"])
    before = EdgeModel.load(taught["analytic"]).logits(x)
    extra = make_data(taught["folder"] / "extra.npz", NAMES[:2], samples=7, seed=3)
    ask("learn", taught["analytic"], extra)
    report = ask("forget", taught["analytic"], "--data", extra)
    assert report["unlearned"] == 14
    np.testing.assert_allclose(EdgeModel.load(taught["analytic"]).logits(x), before, rtol=1e-4, atol=1e-4)


def test_forget_class_with_data_unlearns_only_that_class(taught: dict[str, Path]) -> None:
    ask("learn", taught["analytic"], taught["new"])
    report = ask("forget", taught["analytic"], "--class", "fox", "--data", taught["new"])
    assert report["unlearned"] == 40
    assert report["samples_seen"] == 120


def test_forget_with_data_dampens_a_gradient_readout(files: dict[str, Path]) -> None:
    ask("learn", files["gradient"], files["all"], "--epochs", 20)
    before = EdgeModel.load(files["gradient"]).state.layers[0].weights.values
    report = ask("forget", files["gradient"], "--class", "emu", "--data", files["all"])
    assert report["classes"] == ["cat", "dog", "fox"]
    assert report["unlearned"] == 0
    row = report["dampened"][0]
    assert row["class"] == "emu"
    assert 0 < row["dampened"] < row["weights"]
    assert row["accuracy_after"] > row["accuracy_before"] - 0.2
    assert not np.array_equal(EdgeModel.load(files["gradient"]).state.layers[0].weights.values, before)


def test_dampening_needs_samples_of_both_sides(files: dict[str, Path]) -> None:
    ask("learn", files["gradient"], files["all"])
    only = make_data(files["folder"] / "only.npz", ("emu",))
    assert "no samples of the classes that stay" in refused(
        "forget", files["gradient"], "--class", "emu", "--data", only
    )
    assert "no samples of 'emu'" in refused("forget", files["gradient"], "--class", "emu", "--data", files["base"])
