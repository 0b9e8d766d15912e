"""``merge``, ``rebase`` and what ``history`` tells of them, as commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call, refused
from device_files import NAMES, make_data

from ssd_edge.cli.merge import parsed
from ssd_edge_runtime.errors import OptionError


@pytest.fixture
def fleet(taught: dict[str, Path]) -> dict[str, Path]:
    """Three devices that learned two new classes, the last of them with labels mixed up, in many samples."""
    folder = taught["folder"]
    mixed = make_data(folder / "mixed.npz", NAMES, samples=120, seed=3)
    with np.load(mixed) as arrays:
        np.savez(mixed, x=arrays["x"], y=arrays["y"][::-1], classes=arrays["classes"])
    for number, data in enumerate((taught["new"], make_data(folder / "n.npz", NAMES[2:], seed=2), mixed), 1):
        taught[f"d{number}"] = folder / f"d{number}.onnx"
        ask("learn", taught["analytic"], data, "-o", taught[f"d{number}"], "--note", f"room {number}")
    return taught


def test_a_bad_device_is_named_and_nothing_is_saved(fleet: dict[str, Path]) -> None:
    devices, output = (fleet["d1"], fleet["d2"], fleet["d3"]), fleet["folder"] / "merged.onnx"
    options = ("--base", fleet["analytic"], "--guard", fleet["all"], "--leave-one-out", "-o", output)
    result = call("merge", *devices, *options, "--max-drop", 0)
    assert result.exit_code in (0, 1)
    assert f"{fleet['d3']} harms: without it more answers are right, beyond chance\n" in result.stdout
    assert f"{fleet['d1']} adds +" in result.stdout
    base_only = ("--base", fleet["analytic"], "--guard", fleet["base"], "-o", output)
    result = call("merge", *devices[1:], *base_only)
    assert result.exit_code == 1
    assert result.stdout.endswith("merged.onnx: not saved, because the guard data lost more than 0.0\n")
    report = ask("merge", *devices[:2], *options)
    assert (report["kept"], report["harms"]) == (True, None)
    assert "harms" not in call("merge", *devices[:2], *options).stdout


def test_what_would_count_twice_is_refused_by_name(fleet: dict[str, Path]) -> None:
    one, two, output = fleet["d1"], fleet["d2"], fleet["folder"] / "merged.onnx"
    base = ("--base", fleet["analytic"], "-o", output)
    assert "d1.onnx and d1.onnx are the same file" in refused("merge", one, one, *base)
    ask("merge", one, two, *base)
    again = ("--base", fleet["analytic"], "-o", fleet["folder"] / "again.onnx")
    assert "merged.onnx already holds d2.onnx" in refused("merge", output, two, *again)
    later = fleet["folder"] / "later.onnx"
    ask("learn", one, fleet["all"], "-o", later)
    assert "later.onnx already holds d1.onnx" in refused("merge", later, one, *again)


def test_classes_are_renamed_on_the_way(fleet: dict[str, Path]) -> None:
    ask("rename", fleet["d1"], "emu", "emus")
    base = ("--base", fleet["analytic"], "-o", fleet["folder"] / "merged.onnx")
    report = ask("merge", fleet["d1"], fleet["d2"], *base, "--rename", "d1.onnx:emus=emu")
    assert report["classes"] == list(NAMES)
    assert "rename must be MODEL:OLD=NEW, got 'emus=emu'" in refused(
        "merge", fleet["d1"], fleet["d2"], *base, "--rename", "emus=emu"
    )
    message = refused("merge", fleet["d1"], fleet["d2"], *base, "--rename", "d9.onnx:emus=emu")
    assert "rename: 'd9.onnx' names 0 of the models to merge, not one" in message


def test_a_path_or_a_name_may_hold_a_colon() -> None:
    models = [Path("C:/m/a.onnx"), Path("b.onnx")]
    assert parsed(["C:/m/a.onnx:x=y"], models) == {"C:/m/a.onnx": {"x": "y"}}
    assert parsed(["b:a:b=c=d", "b:e=f"], models) == {"b": {"a:b": "c=d", "e": "f"}}
    with pytest.raises(OptionError, match="rename must be"):
        parsed(["b.onnx:x="], models)


def test_a_roll_out_keeps_what_was_learned_meanwhile(fleet: dict[str, Path]) -> None:
    one, folder = fleet["d1"], fleet["folder"]
    sent, output = folder / "sent.onnx", folder / "february.onnx"
    sent.write_bytes(one.read_bytes())
    ask("learn", one, fleet["all"], "--note", "meanwhile")
    ask("merge", sent, fleet["d2"], "--base", fleet["analytic"], "-o", output)
    whole = refused("rebase", one, "--from", fleet["analytic"], "--onto", output, "-o", one)
    assert "february.onnx already holds sent.onnx" in whole
    result = call("rebase", one, "--from", sent, "--onto", output, "-o", one)
    assert result.stdout == f"{one}: 160 samples of {one} on top of {output}\n"
    report = ask("history", one)
    assert [entry["verb"] for entry in report["entries"][:3]] == ["rebase", "learn", "merge"]
    text = call("history", one).stdout
    assert "rebase d1.onnx onto february.onnx: +40 cat, +40 dog, +40 emu, +40 fox" in text
    assert "; meanwhile\n" in text
    assert "before, and elsewhere:\n" in text
    assert "learn: +40 emu, +40 fox; room 2\n" in text


def test_a_roll_out_with_other_features_is_refused(fleet: dict[str, Path]) -> None:
    message = refused(
        "rebase", fleet["d1"], "--from", fleet["analytic"], "--onto", fleet["gradient"], "-o", fleet["d1"]
    )
    assert "gradient.onnx has a gradient readout: only models with the analytic readout add up" in message


def test_force_replaces_a_file_that_knows_more(fleet: dict[str, Path]) -> None:
    output = fleet["folder"] / "merged.onnx"
    ask("learn", fleet["d2"], make_data(fleet["folder"] / "more.npz", NAMES), "-o", output)
    ask("rename", output, "fox", "lynx")
    merge = ("merge", fleet["d1"], fleet["d2"], "--base", fleet["analytic"], "-o", output)
    assert "merged.onnx knows lynx, which the result does not: --force replaces it" in refused(*merge)
    assert ask(*merge, "--force")["classes"] == list(NAMES)
