"""What the wheel holds, as a device gets it; and that no file of it has outgrown its reader."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[1]
SOURCES = {
    "ssd_edge": ROOT / "ssd_edge",
    "ssd_edge_export": ROOT / "export" / "ssd_edge_export",
    "ssd_edge_runtime": ROOT / "runtime" / "ssd_edge_runtime",
    "ssd_edge_bench": ROOT / "device_bench" / "ssd_edge_bench",
}
ROOMS = {
    "ssd_edge": "cli comparison data encoders methods model on_device training",
    "ssd_edge_export": "assembly pruning verification",
    "ssd_edge_runtime": "analytic encoder gradient ledger model_file network onnx serving sparse storage",
    "ssd_edge_bench": "engines machine measurement report roofline",
}
BOARDS = "ssd_edge_bench/roofline/boards"
MOST_LINES = 400


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from this checkout."""
    built = next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel"))))
    with zipfile.ZipFile(built) as archive:
        return set(archive.namelist())


def test_holds_the_four_packages_and_nothing_beside_them(wheel: set[str]) -> None:
    tops = {name.partition("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(SOURCES)
    assert {name.partition(".dist-info/")[2] for name in wheel if ".dist-info/" in name} >= {
        "METADATA",
        "entry_points.txt",
        "licenses/LICENSE",
    }


@pytest.mark.parametrize("package", SOURCES)
def test_holds_every_file_of_a_package(wheel: set[str], package: str) -> None:
    source = SOURCES[package]
    wanted = {
        f"{package}/{file.relative_to(source).as_posix()}"
        for file in source.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in wheel if name.startswith(f"{package}/")} == wanted
    assert f"{package}/py.typed" in wanted
    assert {f"{package}/{room}/__init__.py" for room in ROOMS[package].split()} <= wanted


def test_holds_the_boards(wheel: set[str]) -> None:
    assert {name for name in wheel if name.endswith(".toml")} == {
        f"{BOARDS}/{board}.toml"
        for board in ("jetson-nano", "raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w")
    }


@pytest.mark.parametrize("package", SOURCES)
def test_no_file_is_longer_than_one_reads_in_one_go(package: str) -> None:
    lengths = {file: len(file.read_text().splitlines()) for file in SOURCES[package].rglob("*.py")}
    assert {str(file.relative_to(ROOT)): n for file, n in lengths.items() if n > MOST_LINES} == {}
