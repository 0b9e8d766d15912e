"""Every device command by its console script, where torch is not installed: ``python device_smoke.py FOLDER``.

FOLDER is what ``ssd-edge demo`` left; run by ``.ci/run`` in an environment with the base dependencies only.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("ssd-edge")


def ask(*args: object) -> Any:
    """Run a command with --json; print it, and return its document."""
    words = [str(arg) for arg in args]
    print("ssd-edge", *(Path(word).name if "/" in word else word for word in words), flush=True)
    done = subprocess.run([COMMAND, *words, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def main(demo: Path, work: Path) -> None:
    """Learn, judge, change and measure a copy of the demo's model."""
    for name in ("torch", "torchvision", "sklearn", "matplotlib"):
        assert importlib.util.find_spec(name) is None, f"{name} is installed here"
    model, test, new = shutil.copy(demo / "model.onnx", work), demo / "test.npz", demo / "new.npz"
    assert ask("verify", model)
    assert ask("inspect", model)["classes"] == list("01234567")
    report = ask("learn", model, new)
    assert report["classes_added"] == ["8", "9"]
    assert report["generation"] == 2
    assert ask("eval", model, test)["accuracy"] > 0.9
    assert ask("eval", model, test, "--engine", "onnxruntime")["accuracy"] > 0.9
    assert set(ask("infer", model, test)[0]) == {"label", "confidence", "source"}
    assert ask("rename", model, "9", "nine")["classes"][-1] == "nine"
    assert "8" not in ask("forget", model, "--class", "8")["classes"]
    assert len(ask("history", model)["generations"]) == 4
    assert "8" in ask("rollback", model)["classes"]
    base, one, two = demo / "model.onnx", demo / "learned.onnx", work / "two.onnx"
    ask("learn", base, new, "-o", two, "--note", "the second device")
    assert ask("merge", one, two, "--base", base, "-o", work / "merged.onnx")["classes"] == list("0123456789")
    results = ask("bench", model, "--processes", 1, "--seconds", 0.05)["results"]
    assert {row["engine"] for row in results} == {"csr", "onnxruntime", "onnxruntime-dense"}
    refused = subprocess.run([COMMAND, "train", "digits", "-o", str(work / "run")], capture_output=True, text=True)
    assert refused.returncode == 2
    assert "pip install 'ssd-edge[train]'" in refused.stderr, refused.stderr
    print("every device command works without torch")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(sys.argv[1]), Path(folder))
