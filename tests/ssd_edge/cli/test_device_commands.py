"""Device commands as a device owner uses them: files in, files and answers out, no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import ask, call, refused
from PIL import Image

from ssd_edge_runtime import EdgeModel, analytic, model_file
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.state import Layer, ModelState, Readout

SHAPE, WIDTH, HIDDEN, K = (1, 4, 4), 16, 60, 6
NAMES = ("cat", "dog", "emu", "fox")
DEVICE_COMMANDS = ("infer", "eval", "learn", "forget", "rename", "merge", "history", "rollback", "bench")


def make_state(kind: str, classes: int = 2) -> ModelState:
    """An untrained model over the first classes of NAMES, with a random sparse W."""
    rng = np.random.default_rng(5)
    w = np.abs(rng.standard_normal((HIDDEN, WIDTH))).astype(np.float32)
    mask = rng.random(w.shape) < 0.5
    mask[:, 0] = True
    w = np.where(mask, w, 0)
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    counts = [np.zeros(HIDDEN, np.int64), np.zeros(HIDDEN, np.int64), np.zeros((classes, HIDDEN), np.int64)]
    return ModelState(
        input_shape=SHAPE,
        classes=list(NAMES[:classes]),
        center=None,
        epsilon=1e-12,
        layers=[Layer("hidden1", CSRMatrix.from_dense(w, mask), K, *counts)],
        readout=Readout(
            "analytic" if kind == "analytic" else "gradient",
            np.zeros((classes, HIDDEN), np.float32),
            np.zeros(classes, np.float32) if kind == "analytic" else None,
        ),
        learning=LearningOptions(batch_size=16, learning_rate=0.5) if kind == "gradient" else None,
        analytic=AnalyticOptions() if kind == "analytic" else None,
        statistics=analytic.empty(HIDDEN, classes) if kind == "analytic" else None,
        class_samples=np.zeros(classes, np.int64),
    )


def make_data(path: Path, classes: tuple[str, ...], samples: int = 40, seed: int = 0) -> Path:
    """An .npz of noisy versions of one prototype per class."""
    rng = np.random.default_rng(seed)
    prototypes = np.random.default_rng(99).random((len(NAMES), WIDTH))
    index = [NAMES.index(name) for name in classes]
    y = np.repeat(np.arange(len(classes)), samples)
    x = prototypes[index][y] + 0.1 * rng.random((len(y), WIDTH))
    np.savez(path, x=x.reshape(-1, *SHAPE).astype(np.float32), y=y, classes=np.array(classes))
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Two models that know nothing yet, and data."""
    for kind in ("analytic", "gradient"):
        (tmp_path / f"{kind}.onnx").write_bytes(model_file.to_bytes(make_state(kind)))
    return {
        "analytic": tmp_path / "analytic.onnx",
        "gradient": tmp_path / "gradient.onnx",
        "base": make_data(tmp_path / "base.npz", NAMES[:2]),
        "new": make_data(tmp_path / "new.npz", NAMES[2:]),
        "all": make_data(tmp_path / "all.npz", NAMES, seed=1),
        "folder": tmp_path,
    }


def samples_of(path: Path) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The array x of an .npz."""
    with np.load(path) as arrays:
        x: np.ndarray[Any, np.dtype[np.float32]] = arrays["x"]
    return x


@pytest.fixture
def taught(files: dict[str, Path]) -> dict[str, Path]:
    """The same, the analytic model having learned the first two classes."""
    ask("learn", files["analytic"], files["base"])
    return files


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


def test_eval_says_how_far_confidence_can_be_believed() -> None:
    from ssd_edge.on_device.answers import calibration

    confidence = np.repeat([0.9, 0.5], [40, 20])
    right = np.r_[np.arange(40) < 34, np.arange(20) < 10]
    found = calibration(confidence, right)
    assert found == {"error": pytest.approx(40 / 60 * 0.05), "near_90": {"n": 40, "accuracy": 0.85}}
    assert calibration(np.full(3, 1.0), np.ones(3, bool)) == {"error": 0.0, "near_90": {"n": 0, "accuracy": None}}


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


def test_rename_changes_nothing_but_the_name(taught: dict[str, Path]) -> None:
    report = ask("rename", taught["analytic"], "dog", "hound")
    assert report["classes"] == ["cat", "hound"]
    assert report["renamed"] == {"from": "dog", "to": "hound"}
    assert {row["label"] for row in ask("infer", taught["analytic"], taught["base"])} == {"cat", "hound"}


def test_merge_equals_one_device_that_saw_everything(taught: dict[str, Path]) -> None:
    folder, base = taught["folder"], taught["analytic"]
    more = make_data(folder / "more.npz", NAMES[:2], samples=9, seed=8)
    for name, data in {"a": taught["new"], "b": more}.items():
        ask("learn", base, data, "-o", folder / f"{name}.onnx")
    report = ask("merge", folder / "a.onnx", folder / "b.onnx", "--base", base, "-o", folder / "both.onnx")
    assert report["samples_seen"] == 80 + 80 + 18
    ask("learn", folder / "a.onnx", more)
    x = samples_of(taught["all"])
    both, one = (EdgeModel.load(folder / name).logits(x) for name in ("both.onnx", "a.onnx"))
    np.testing.assert_allclose(both, one, rtol=1e-4, atol=1e-4)


def test_history_and_rollback_go_back_and_forth(taught: dict[str, Path]) -> None:
    rows = ask("history", taught["analytic"])["generations"]
    assert [(row["generation"], row["samples"], row["current"]) for row in rows] == [(2, 80, True), (1, 0, False)]
    assert rows[0]["parent"] == rows[1]["digest"]
    assert ask("rollback", taught["analytic"], "--to", 1)["samples"] == 0
    assert ask("rollback", taught["analytic"], "--to", 2)["samples"] == 80
    lines = call("history", taught["analytic"]).stdout.splitlines()
    assert [line[0] for line in lines] == ["*", " "]


def test_results_for_a_person_go_to_standard_output(taught: dict[str, Path]) -> None:
    learned = call("learn", taught["analytic"], taught["new"])
    assert learned.stdout.splitlines()[0].startswith("learned 80 samples in ")
    assert learned.stdout.splitlines()[0].endswith("; new: emu, fox")
    assert learned.stderr == ""
    assert call("eval", taught["analytic"], taught["all"]).stdout.startswith("accuracy ")
    assert "knows cat, emu, fox" in call("forget", taught["analytic"], "--class", "dog").stdout
    assert call("rename", taught["analytic"], "emu", "rhea").stdout.endswith("(generation 5)\n")
    assert call("rollback", taught["analytic"]).stdout.endswith("is generation 4 again: cat, emu, fox\n")


@pytest.mark.parametrize("command", ["infer", "eval", "learn", "forget", "rename", "history", "rollback", "bench"])
def test_files_that_are_no_models_are_refused(files: dict[str, Path], command: str) -> None:
    rest = {
        "infer": [files["base"]],
        "eval": [files["base"]],
        "learn": [files["base"]],
        "forget": ["--class", "a"],
        "rename": ["a", "b"],
    }
    missing, text = files["folder"] / "none.onnx", files["folder"] / "text.onnx"
    text.write_text("not a model")
    assert str(missing) in refused(command, missing, *rest.get(command, []))
    if command != "history":  # which lists a damaged file as damaged
        assert str(text) in refused(command, text, *rest.get(command, []))
    assert text.read_text() == "not a model"


def test_bad_input_is_refused_and_changes_nothing(taught: dict[str, Path]) -> None:
    model, folder = taught["analytic"], taught["folder"]
    before = model.read_bytes()
    np.savez(folder / "shape.npz", x=np.zeros((3, 9), np.float32), y=[0, 1, 0])
    np.savez(folder / "nan.npz", x=np.full((2, WIDTH), np.nan, np.float32), y=[0, 1])
    (folder / "empty").mkdir()
    assert "samples have shape 9, the model takes 1 x 4 x 4" in refused("learn", model, folder / "shape.npz")
    assert "samples have shape 9" in refused("infer", model, folder / "shape.npz")
    assert "NaN or infinity" in refused("learn", model, folder / "nan.npz")
    assert "NaN or infinity" in refused("eval", model, folder / "nan.npz")
    assert "no-such-data" in refused("eval", model, "no-such-data")
    assert "no image files" in refused("infer", model, folder / "empty")
    assert "unknown class 'yak'" in refused("forget", model, "--class", "yak")
    assert "already is a class 'dog'" in refused("rename", model, "cat", "dog")
    assert "nothing to forget" in refused("forget", model)
    assert "epochs must be 1" in refused("learn", model, taught["new"], "--epochs", 2)
    assert "epochs must be at least 1" in refused("learn", model, taught["new"], "--epochs", 0)
    gradient = refused("learn", taught["gradient"], taught["new"], "--min-samples", 2)
    assert gradient == "min-samples is an option of the analytic readout; this one is not"
    assert "lr is an option of the gradient" in refused("learn", model, taught["new"], "--lr", 0.1)
    assert "distill is an option" in refused("learn", model, taught["new"], "--distill")
    assert "resume and discard" in refused("learn", model, taught["new"], "--resume", "--discard")
    assert "lr must be positive" in refused("learn", taught["gradient"], taught["new"], "--lr", -1)
    assert "unknown class 'emu'" in refused("forget", model, "--data", taught["all"])
    assert "at least two models" in refused("merge", model, "--base", model, "-o", folder / "m.onnx")
    assert "cannot go back to generation 9" in refused("rollback", model, "--to", 9)
    assert model.read_bytes() == before


def test_altered_file_needs_no_verify_and_a_warning(taught: dict[str, Path]) -> None:
    data = bytearray(taught["analytic"].read_bytes())
    at = data.index(b"ssd_edge.digest") + 20
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    taught["analytic"].write_bytes(data)
    assert "digest" in refused("infer", taught["analytic"], taught["base"])
    result = call("infer", taught["analytic"], taught["base"], "--no-verify")
    assert result.exit_code == 0
    assert result.stderr == f"warning: {taught['analytic']}: digest not checked\n"


def test_second_writer_is_told_who_holds_the_file(taught: dict[str, Path]) -> None:
    script = (
        "import sys, time\nfrom ssd_edge_runtime import storage\n"
        "with storage.locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, taught["analytic"]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        message = refused("rename", taught["analytic"], "cat", "puma", "--lock-timeout", 0.1)
        assert f"process {holder.pid}" in message
        assert ask("infer", taught["analytic"], taught["base"])[0]["label"] == "cat"
    finally:
        holder.kill()
        holder.communicate()


BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchvision", "sklearn", "matplotlib", "safetensors"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocker())
from click.testing import CliRunner
from ssd_edge.cli import main
import json
for args in json.load(sys.stdin):
    result = CliRunner().invoke(main, args, catch_exceptions=False)
    assert result.exit_code == 0, (args, result.stderr)
assert not any(name.split(".")[0] == "torch" for name in sys.modules)
print("all ran")
"""


def test_every_device_command_runs_where_torch_is_not_installed(taught: dict[str, Path]) -> None:
    model, folder = str(taught["analytic"]), taught["folder"]
    new, both = str(taught["new"]), str(folder / "both.onnx")
    calls = [
        ["infer", model, new, "--json"],
        ["eval", model, new],
        ["learn", model, new, "-o", str(folder / "a.onnx")],
        ["learn", str(taught["gradient"]), new, "--epochs", "2"],
        ["merge", str(folder / "a.onnx"), str(folder / "a.onnx"), "--base", model, "-o", both],
        ["rename", model, "cat", "lion"],
        ["history", model],
        ["rollback", model],
        ["forget", model, "--class", "cat"],
        ["bench", model, "--processes", "1", "--seconds", "0.01", "--engines", "csr", "--batches", "1"],
    ]
    assert {args[0] for args in calls} == set(DEVICE_COMMANDS)
    done = subprocess.run([sys.executable, "-c", BLOCKER], input=json.dumps(calls), capture_output=True, text=True)
    assert done.stdout == "all ran\n", done.stderr


def test_built_in_data_without_the_extra_names_the_extra(taught: dict[str, Path]) -> None:
    script = BLOCKER.split("for args")[0] + (
        "result = CliRunner().invoke(main, ['eval', sys.argv[1], 'digits'])\n"
        "print(result.exit_code, result.stderr, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, taught["analytic"]], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("2 error: ")
    assert "pip install 'ssd-edge[train]'" in done.stdout
