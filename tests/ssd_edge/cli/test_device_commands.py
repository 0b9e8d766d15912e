"""What all device commands have in common: no torch, bad input refused, results on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import call, refused
from device_files import WIDTH

DEVICE_COMMANDS = (
    "infer",
    "eval",
    "learn",
    "forget",
    "rename",
    "merge",
    "rebase",
    "history",
    "rollback",
    "purge",
    "bench",
)


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
    assert "cannot go back to generation 9F9F" in refused("rollback", model, "--to", "9F9F")
    assert model.read_bytes() == before


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
        ["learn", model, new, "-o", str(folder / "b.onnx"), "--note", "another device"],
        ["merge", str(folder / "a.onnx"), str(folder / "b.onnx"), "--base", model, "-o", both],
        ["rebase", str(folder / "a.onnx"), "--from", model, "--onto", str(folder / "b.onnx"), "-o", both],
        ["rename", model, "cat", "lion"],
        ["history", model],
        ["rollback", model],
        ["purge", model],
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
