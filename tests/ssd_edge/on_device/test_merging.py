"""Devices merged, the one that harms found, a roll-out that loses nothing, and history that tells of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import samples

from ssd_edge.on_device import Guard, Saving, forget, history, learn, merge, rebase, rename, rollback
from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.errors import OptionError

CLASSES = 5


def device(base: Path, name: str, seed: int, *, wrong: bool = False) -> Path:
    """A file that learned 50 samples of five classes, two of them new; where ``wrong`` 200 under wrong labels."""
    path = base.with_name(f"{name}.onnx")
    x, y = samples(seed, 200 if wrong else 50, classes=CLASSES)
    learn(base, (x, (y + 1) % CLASSES if wrong else y), saving=Saving(path, note=f"from the {name}"))
    return path


@pytest.fixture
def guard() -> Guard:
    x, y = samples(77, 100, classes=CLASSES)
    return Guard((x, y))


def test_the_guard_decides_what_is_saved(edge_file: Path, guard: Guard, tmp_path: Path) -> None:
    good, bad = device(edge_file, "good", 1), [device(edge_file, f"bad{n}", n, wrong=True) for n in (2, 3, 4)]
    output = tmp_path / "merged.onnx"
    report = merge([good, *bad], edge_file, output, guard=guard)
    assert not report["kept"]
    assert report["guard"]["after"] < report["guard"]["before"]
    assert report["generation"] is None
    assert not output.exists()
    assert merge([good, *bad], edge_file, output, guard=Guard(guard.data, max_drop=1.0))["kept"]


def test_leaving_one_out_names_the_one_that_harms(edge_file: Path, guard: Guard, tmp_path: Path) -> None:
    devices = [device(edge_file, name, seed) for seed, name in enumerate(("attic", "cellar", "kitchen"))]
    bad = device(edge_file, "garage", 9, wrong=True)
    output = tmp_path / "merged.onnx"
    report = merge([*devices, bad], edge_file, output, guard=guard, leave_one_out=True)
    assert report["harms"] == str(bad)
    rows = {row["model"]: row for row in report["leave_one_out"]}
    assert list(rows) == [str(path) for path in (*devices, bad)]
    assert rows[str(bad)]["effect"] == pytest.approx(report["guard"]["after"] - rows[str(bad)]["without"])
    assert rows[str(bad)]["effect"] < 0
    report = merge(devices, edge_file, output, guard=guard, leave_one_out=True)
    assert report["harms"] is None
    assert history(output)["entries"][0]["guard"] == report["guard"]["after"]


def test_leaving_one_out_needs_data_to_measure_on(edge_file: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave-one-out needs guard"):
        merge([edge_file, edge_file], edge_file, tmp_path / "merged.onnx", leave_one_out=True)


def test_a_file_that_knows_more_is_replaced_only_by_force(edge_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "merged.onnx"
    learn(edge_file, (samples(1, 4)[0], ["emu", "fox", "0", "1"]), saving=Saving(output))
    devices = [device(edge_file, name, seed) for seed, name in enumerate("ab")]
    with pytest.raises(OptionError, match=r"merged.onnx knows emu, fox, which the result does not: --force"):
        merge(devices, edge_file, output)
    assert "fox" in EdgeModel.load(output).classes_
    assert merge(devices, edge_file, output, force=True)["classes"] == list("01234")
    learn(edge_file, (samples(2, 2)[0], ["emu", "0"]), saving=Saving(tmp_path / "c.onnx"))
    with pytest.raises(OptionError, match=r"c.onnx knows emu"):
        rebase(devices[0], edge_file, edge_file, tmp_path / "c.onnx")


@pytest.mark.parametrize("called", ["b.onnx", "b", "{folder}/b.onnx"])
def test_classes_are_mapped_by_name(edge_file: Path, tmp_path: Path, called: str) -> None:
    a, b = device(edge_file, "a", 1), device(edge_file, "b", 2)
    rename(b, "4", "vier")
    rename(b, "0", "null")
    with pytest.raises(EdgeModelError, match=r"b.onnx has no class '0', .* --rename what it is called there"):
        merge([a, b], edge_file, tmp_path / "merged.onnx")
    names = {called.format(folder=tmp_path): {"vier": "4", "null": "0"}}
    report = merge([a, b], edge_file, tmp_path / "merged.onnx", rename=names)
    assert report["classes"] == list("01234")
    assert report["samples_seen"] == 60 + 100


def test_a_rename_must_name_one_device_and_its_class(edge_file: Path, tmp_path: Path) -> None:
    a, b = device(edge_file, "a", 1), device(edge_file, "b", 2)
    output = tmp_path / "merged.onnx"
    with pytest.raises(OptionError, match=r"'c.onnx' names 0 of the models to merge, not one"):
        merge([a, b], edge_file, output, rename={"c.onnx": {"0": "1"}})
    with pytest.raises(EdgeModelError, match="unknown class 'yak'"):
        merge([a, b], edge_file, output, rename={"a": {"yak": "0"}})
    with pytest.raises(EdgeModelError, match="there already is a class '1'"):
        merge([a, b], edge_file, output, rename={"a": {"0": "1"}})


def test_five_devices_are_merged_without_the_bad_one_and_lose_nothing(
    edge_file: Path, guard: Guard, tmp_path: Path
) -> None:
    names = ("attic", "cellar", "garage", "kitchen", "porch")
    fleet = {name: device(edge_file, name, seed, wrong=name == "garage") for seed, name in enumerate(names)}
    trial = merge(list(fleet.values()), edge_file, tmp_path / "trial.onnx", guard=guard, leave_one_out=True)
    assert trial["harms"] == str(fleet["garage"])
    good = {name: path for name, path in fleet.items() if name != "garage"}
    rolled_out = tmp_path / "rolled-out.onnx"
    assert merge(list(good.values()), edge_file, rolled_out, guard=guard)["kept"]
    x, y = samples(50, 10, classes=CLASSES)
    for name, path in good.items():
        (tmp_path / f"{name}-sent.onnx").write_bytes(path.read_bytes())
        learn(path, (x, y), saving=Saving(note="meanwhile"))
        report = rebase(path, tmp_path / f"{name}-sent.onnx", rolled_out, path)
        assert report["carried"] == 10
        assert report["samples_seen"] == 60 + 4 * 50 + 10
    expected = EdgeModel.load(rolled_out).partial_fit(x, y)
    np.testing.assert_allclose(EdgeModel.load(good["attic"]).logits(x), expected.logits(x), rtol=1e-4, atol=1e-4)
    told = history(good["attic"])["entries"]
    assert [entry["verb"] for entry in told[:3]] == ["rebase", "learn", "merge"]
    assert told[1]["note"] == "meanwhile"
    assert {entry["note"] for entry in told} >= {f"from the {name}" for name in good}


def test_history_tells_each_generation(edge_file: Path, guard: Guard) -> None:
    x, y = samples(3, 50, classes=CLASSES)
    report = learn(edge_file, (x, y), guard=Guard(guard.data, max_drop=1.0), saving=Saving(note="batch 7"))
    rename(edge_file, "4", "four")
    forget(edge_file, "four", saving=Saving(note="on request"))
    rows = history(edge_file)["generations"]
    assert [row["entry"] and row["entry"]["verb"] for row in rows] == ["forget", "rename", "learn", None]
    learned = rows[2]["entry"]
    assert learned["samples"] == dict.fromkeys("01234", 10)
    assert (learned["note"], learned["guard"]) == ("batch 7", report["guard"]["after"])
    assert rows[1]["entry"]["renamed"] == {"4": "four"}
    assert (rows[0]["entry"]["what"], rows[0]["entry"]["note"]) == ("four", "on request")


def test_history_tells_of_a_roll_back(edge_file: Path) -> None:
    learn(edge_file, samples(3, 12))
    rename(edge_file, "0", "zero")
    assert history(edge_file)["rolled_back_from"] is None
    rollback(edge_file)
    assert history(edge_file)["rolled_back_from"] == 3
    learn(edge_file, samples(4, 12))
    document = history(edge_file)
    assert document["rolled_back_from"] is None
    assert [entry["verb"] for entry in document["entries"]] == ["learn", "rollback", "learn"]
    assert document["entries"][1]["what"] == "from 3 to 2"


def test_a_purged_class_is_in_no_history(edge_file: Path) -> None:
    learn(edge_file, (samples(1, 4)[0], ["alice", "alice", "0", "1"]))
    assert b"alice" in edge_file.read_bytes()
    rename(edge_file, "alice", "bob")
    forget(edge_file, "bob", purge=True)
    data = edge_file.read_bytes()
    assert b"alice" not in data
    assert b"bob" not in data
    assert [entry["others"] for entry in history(edge_file)["entries"]] == [0, 0, 2]
