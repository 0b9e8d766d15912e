"""Commands touch the places that the user named, and nothing else: no home, no network, no identifier."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ssd_edge.data import builtin
from ssd_edge_runtime.errors import DataError

JOB = [
    "dataset digits -o train.npz",
    "dataset digits --split test -o test.npz",
    "train digits --method random --readout analytic --hidden 60 --k 10 --tasks 5 --until-task 4 -o run",
    "prune run --density 0.5 -o pruned",
    "sweep run --densities 0.5 --criteria magnitude -o sweep",
    "export run --density 0.5 -o m.onnx",
    "verify m.onnx",
    "infer m.onnx test.npz --engine onnxruntime",
    "eval m.onnx test.npz",
    "learn m.onnx train.npz",
    "history m.onnx",
    "bench m.onnx --processes 1 --seconds 0.01 --batches 1",
]
SCRIPT = """
import os, sys
def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)) and (
        args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(args[2], int) else False
    ):
        told("writes", os.path.abspath(os.fsdecode(args[0])))
    elif event == "os.mkdir":
        told("makes", os.path.abspath(os.fsdecode(args[0])))
    elif event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        told("calls", str(args[1:]))
def told(what, where):
    seen.append((what, where))
seen = []
sys.addaudithook(watch)
import json
if sys.argv[1] == "nobody":
    import pwd
    def unknown(*_):
        raise KeyError("uid not found")
    pwd.getpwuid = unknown
from click.testing import CliRunner
from ssd_edge.cli import main
for line in json.load(sys.stdin):
    done = CliRunner().invoke(main, line.split(), catch_exceptions=False)
    assert done.exit_code == 0, (line, done.stderr)
print(json.dumps(seen))
"""
COUNTER = "awk '/^Ip:/ {n = $13} END {print n}' /proc/net/snmp"
"""Packets for which there was no way out, in a namespace without a network: attempts to reach somebody."""


def do(lines: list[str], folder: Path, *, nobody: bool = False, alone: bool = False) -> list[list[str]]:
    """Run commands in ``folder/work`` with an empty home, or none; what they wrote, made or called."""
    for name in ("work", "home", "tmp"):
        (folder / name).mkdir()
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    more = {"TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    home = {} if nobody else {"HOME": str(folder / "home")}
    command = [sys.executable, "-c", SCRIPT, "nobody" if nobody else "somebody"]
    if alone:
        command = ["unshare", "-n", "sh", "-c", f'"$@" && {COUNTER}', "sh", *command]
    done = subprocess.run(
        command,
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=folder / "work",
        env={**kept, **more, **home},
    )
    assert done.returncode == 0, done.stderr
    report, *count = done.stdout.splitlines()
    assert count == (["0"] if alone else [])
    seen: list[list[str]] = json.loads(report)
    return seen


def apart() -> bool:
    """Whether commands can be run where there is no network, and attempts to reach one are counted."""
    attempt = "import socket\ntry: socket.socket().connect(('192.0.2.1', 80))\nexcept OSError: pass"
    script = ["unshare", "-n", "sh", "-c", f'"$0" -c "{attempt}"; {COUNTER}', sys.executable]
    try:
        return subprocess.run(script, capture_output=True, text=True).stdout == "1\n"
    except OSError:
        return False


def test_no_file_appears_elsewhere_and_nobody_is_called(tmp_path: Path) -> None:
    """Where it can be had, without a network: nothing is tried to be sent."""
    named = (str(tmp_path / "work"), str(tmp_path / "tmp"), os.devnull)
    outside = [(what, where) for what, where in do(JOB, tmp_path, alone=apart()) if not where.startswith(named)]
    assert not outside
    assert not list((tmp_path / "home").iterdir())
    assert not list((tmp_path / "tmp").iterdir())
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert made == {
        *("train.npz", "test.npz", "run", "pruned", "sweep"),
        *("m.onnx", "m.onnx.generations", "m.onnx.lock"),
    }


@pytest.mark.slow
def test_a_user_without_a_name_and_a_home_works_as_others_do(tmp_path: Path) -> None:
    do([*JOB[:3], JOB[5], JOB[7], JOB[9]], tmp_path, nobody=True)
    made = {path.name for path in (tmp_path / "work").iterdir()}
    assert {"train.npz", "run", "m.onnx"} <= made
    assert "~" not in made
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    "module", ["ssd_edge_runtime", "ssd_edge", "ssd_edge_export", "ssd_edge_bench.engines.prepare"]
)
@pytest.mark.parametrize("before", ["", "0", "no"])
def test_telemetry_is_off_before_anything_is_imported(module: str, before: str) -> None:
    script = f"import os, sys, {module}\nprint(os.environ['ORT_DISABLE_TELEMETRY'], 'onnxruntime' in sys.modules)"
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": before}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout == "1 False\n", done.stderr


@pytest.fixture
def homeless(monkeypatch: Any) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "SSD_EDGE_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", nowhere)


@pytest.mark.usefixtures("homeless")
def test_downloads_need_a_place_that_somebody_named(monkeypatch: Any, tmp_path: Path) -> None:
    assert builtin.roots(None) == [builtin.SYSTEM]
    assert builtin.roots(tmp_path) == [tmp_path, builtin.SYSTEM]
    assert builtin.download_root(tmp_path) == tmp_path
    with pytest.raises(DataError, match="no home folder to keep a download in: name a folder with --data-root"):
        builtin.download_root(None)
    monkeypatch.setenv("SSD_EDGE_DATA", str(tmp_path / "own"))
    assert builtin.download_root(None) == tmp_path / "own"
    monkeypatch.delenv("SSD_EDGE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert builtin.download_root(None) == tmp_path / "ssd-edge"


def test_weights_that_have_no_place_are_not_put_beside_the_work(monkeypatch: Any, tmp_path: Path) -> None:
    torchvision = pytest.importorskip("torchvision")
    from ssd_edge.encoders.state_dicts import download_weights

    for name in ("HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    monkeypatch.chdir(tmp_path)
    weights = torchvision.models.get_model_weights("resnet18").DEFAULT
    with pytest.raises(DataError, match=r"no home folder to keep the weights of resnet18 in: set TORCH_HOME"):
        download_weights("resnet18", weights)
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_left_as_its_users_have_it(monkeypatch: Any, tmp_path: Path) -> None:
    """A font list of one's own is used; who has none gets none."""
    script = (
        "import os, sys\nfrom ssd_edge.training.figures import new_figure\n"
        "new_figure(1, 1, 'x').savefig('x.png')\n"
        "import matplotlib\nprint(os.environ.get('MPLCONFIGDIR'), matplotlib.get_cachedir())"
    )
    told = {}
    for name, folders in {"user": [".cache/matplotlib"], "stranger": []}.items():
        home = tmp_path / name
        home.mkdir()
        for folder in folders:
            (home / folder).mkdir(parents=True)
        environment = {**os.environ, "HOME": str(home)}
        for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR"):
            environment.pop(variable, None)
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, cwd=home, env=environment
        )
        assert done.returncode == 0, done.stderr
        told[name] = done.stdout.strip()
    assert told["user"] == f"None {tmp_path / 'user' / '.cache' / 'matplotlib'}"
    assert told["stranger"].startswith("None ")
    assert [path.name for path in (tmp_path / "stranger").iterdir()] == ["x.png"]
