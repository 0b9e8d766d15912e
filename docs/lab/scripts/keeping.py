"""Learn six classes on a device, once for every readout, and write ``docs/lab/results/keeping.json``.

Takes about three minutes on one core: ``python docs/lab/scripts/keeping.py``. Then ``draw_keeping.py`` draws it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ssd_edge import data

TARGET = Path(__file__).parents[1] / "results" / "keeping.json"
KNOWN = (4, 6, 8, 10)
PRUNED = ["--density", "0.05"]
ROWS: dict[str, tuple[list[str], list[str], list[str]]] = {  # options of `train`, of `export` and of `learn`
    "views, closed form": (["--method", "views"], [], []),
    "ssd, closed form": (["--method", "ssd", "--readout", "analytic", "--k", "100"], PRUNED, []),
    "random, closed form": (["--method", "random", "--k", "100"], PRUNED, []),
    "ssd, gradient, distillation": (["--method", "ssd"], PRUNED, []),
    "ssd, gradient, no distillation": (["--method", "ssd"], PRUNED, ["--no-distill"]),
}


def command(*arguments: str, folder: Path) -> dict[str, Any]:
    """``ssd-edge ARGUMENTS --json`` in ``folder``: its JSON document."""
    line = [sys.executable, "-m", "ssd_edge", *arguments, "--json"]
    done = subprocess.run(line, cwd=folder, check=True, stdout=subprocess.PIPE)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def keeping(train: list[str], export: list[str], learn: list[str], folder: Path) -> list[dict[str, float]]:
    """Test accuracy after two tasks on the workstation and after each of three on the device."""
    command(
        "train",
        "fashion-mnist",
        *train,
        "--tasks",
        "5",
        "--until-task",
        "2",
        "--force",
        "-o",
        "run",
        folder=folder,
    )
    (folder / "model.onnx").unlink(missing_ok=True)
    command("export", "run", *export, "-o", "model.onnx", folder=folder)
    steps = []
    for known in KNOWN:
        if known > KNOWN[0]:
            command("learn", "model.onnx", f"task{known // 2}.npz", *learn, folder=folder)
        report = command("eval", "model.onnx", f"test{known}.npz", folder=folder)
        first_four = list(report["per_class"].values())[:4]  # a thousand test images each
        steps.append(
            {
                "classes": known,
                "first_four": round(sum(first_four) / 4, 5),
                "all_known": round(report["accuracy"], 5),
            }
        )
    return steps


def main() -> None:
    """Write the figures of all rows."""
    names = data.load_data("fashion-mnist", split="test").classes
    rows = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for known in KNOWN:
            task, test = f"task{known // 2}.npz", f"test{known}.npz"
            command(
                "dataset", "fashion-mnist", "--task", str(known // 2), "--tasks", "5", "-o", task, folder=folder
            )
            part = ["--split", "test", "--classes", ",".join(names[:known])]
            command("dataset", "fashion-mnist", *part, "-o", test, folder=folder)
        for row, options in ROWS.items():
            rows[row] = keeping(*options, folder)
            print(row, rows[row], file=sys.stderr)
    document = {"data": "fashion-mnist", "seed": 0, "command": "python docs/lab/scripts/keeping.py", "rows": rows}
    TARGET.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
