"""``learn`` as a device owner uses it: what is on storage afterwards, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call
from device_files import NAMES, make_state, samples_of

from ssd_edge_runtime import EdgeModel


def test_learn_reports_what_is_on_storage(files: dict[str, Path]) -> None:
    ask("learn", files["analytic"], files["base"])
    report = ask("learn", files["analytic"], files["new"])
    assert report["samples"] == 80
    assert report["classes_added"] == ["emu", "fox"]
    assert report["generation"] == 3
    assert report["seconds"] > 0
    saved = EdgeModel.load(files["analytic"])
    assert saved.classes_ == list(NAMES)
    assert saved.samples_seen_ == report["samples_seen"] == 160


def test_learned_classes_are_answered(taught: dict[str, Path]) -> None:
    ask("learn", taught["analytic"], taught["new"])
    report = ask("eval", taught["analytic"], taught["all"])
    assert report["n"] == 160
    assert list(report["per_class"]) == list(NAMES)
    assert report["accuracy"] > 0.95
    assert np.trace(report["confusion"]["counts"]) / 160 == pytest.approx(report["accuracy"])


def test_a_class_is_answered_from_min_samples_on(taught: dict[str, Path]) -> None:
    with np.load(taught["new"]) as arrays:
        x, y, classes = arrays["x"], arrays["y"], arrays["classes"]
    first = np.flatnonzero(classes[y] == "fox")
    few, more = taught["new"].with_name("few.npz"), taught["new"].with_name("more.npz")
    np.savez(few, x=x[first[:3]], y=y[first[:3]], classes=classes)
    np.savez(more, x=x[first[3:]], y=y[first[3:]], classes=classes)
    result = call("learn", taught["analytic"], few, "--min-samples", 10, "--priors", "counts", "--json")
    assert result.stderr == "note: fox is answered from 10 samples on and has 3\n"
    assert json.loads(result.stdout)["withheld"] == {"fox": 3}
    assert ask("eval", taught["analytic"], few)["accuracy"] == 0.0
    document = ask("inspect", taught["analytic"])["analytic"]
    assert (document["priors"], document["min_samples"]) == ("counts", 10)
    assert ask("learn", taught["analytic"], more)["withheld"] == {}
    assert ask("eval", taught["analytic"], few)["accuracy"] > 0.6


def test_learn_warns_of_a_class_that_will_be_missed(taught: dict[str, Path]) -> None:
    with np.load(taught["new"]) as arrays:
        x, y, classes = arrays["x"], arrays["y"], arrays["classes"]
    one = np.flatnonzero(classes[y] == "fox")[:1]
    few = taught["new"].with_name("few.npz")
    np.savez(few, x=x[one], y=y[one], classes=classes)
    assert call("learn", taught["analytic"], few).stderr == (
        "note: fox will often be missed: 1 seen, of another class 40\n"
    )


def test_gradient_model_learns_over_epochs(files: dict[str, Path]) -> None:
    report = ask("learn", files["gradient"], files["all"], "--epochs", 20, "--no-distill")
    assert report["samples_seen"] == 160 * 20
    assert ask("eval", files["gradient"], files["all"])["accuracy"] > 0.8
    assert EdgeModel.load(files["gradient"]).learning == make_state("gradient").learning


def test_options_of_gradient_learning_change_what_is_learned(files: dict[str, Path]) -> None:
    logits = {}
    for name, options in {
        "plain": (),
        "lr": ("--lr", 0.01),
        "seed": ("--seed", 3),
        "epochs": ("--epochs", 2),
    }.items():
        out = files["folder"] / f"{name}.onnx"
        ask("learn", files["gradient"], files["all"], "-o", out, *options)
        logits[name] = EdgeModel.load(out).logits(samples_of(files["all"]))
    for name in ("lr", "seed", "epochs"):
        assert not np.allclose(logits[name], logits["plain"], atol=1e-4)


def test_distill_changes_what_a_second_task_does(files: dict[str, Path]) -> None:
    ask("learn", files["gradient"], files["base"], "--epochs", 5)
    logits = {}
    for option in ("--distill", "--no-distill"):
        out = files["folder"] / f"{option[2:]}.onnx"
        ask("learn", files["gradient"], files["new"], "-o", out, option, "--epochs", 3)
        logits[option] = EdgeModel.load(out).logits(samples_of(files["all"]))
    assert not np.allclose(logits["--distill"], logits["--no-distill"], atol=1e-4)


def test_one_command_is_one_task(files: dict[str, Path]) -> None:
    ask("learn", files["gradient"], files["base"])
    ask("learn", files["gradient"], files["new"], "--checkpoint-every", 16)
    teacher = EdgeModel.load(files["gradient"]).state.teacher
    assert teacher is not None
    assert teacher.classes == 2


def test_checkpoints_leave_what_was_before(files: dict[str, Path]) -> None:
    report = ask("learn", files["analytic"], files["base"], "--checkpoint-every", 20)
    assert report["checkpoints"] == 4
    generations = ask("history", files["analytic"])["generations"]
    assert [row["samples"] for row in generations] == [80, 0]
    assert ask("eval", files["analytic"], files["base"])["accuracy"] > 0.95


def test_output_leaves_the_model_as_it_is(taught: dict[str, Path]) -> None:
    before = taught["analytic"].read_bytes()
    out = taught["folder"] / "out.onnx"
    assert ask("learn", taught["analytic"], taught["new"], "-o", out)["file"] == str(out)
    assert taught["analytic"].read_bytes() == before
    assert EdgeModel.load(out).classes_ == list(NAMES)


def test_guard_keeps_what_holds_and_refuses_what_does_not(taught: dict[str, Path]) -> None:
    kept = ask("learn", taught["analytic"], taught["new"], "--guard", taught["base"], "--max-drop", 0.2)
    assert kept["kept"] is True
    assert kept["guard"]["before"] - kept["guard"]["after"] <= 0.2
    swapped = taught["folder"] / "swapped.npz"
    x, y = samples_of(taught["base"]), np.repeat([1, 0], 40)
    np.savez(swapped, x=np.repeat(x, 5, 0), y=np.repeat(y, 5), classes=np.array(NAMES[:2]))
    before = taught["analytic"].read_bytes()
    result = call("learn", taught["analytic"], swapped, "--guard", taught["base"], "--max-drop", 0.1, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["kept"] is False
    assert report["generation"] is None
    assert taught["analytic"].read_bytes() == before
