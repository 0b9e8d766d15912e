"""Energy counters, on made-up sysfs trees."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssd_edge_bench.machine.energy import NOT_AVAILABLE, Counter, between, read
from ssd_edge_bench.measurement.results import result_rows
from ssd_edge_bench.report.wording import energy_lines


def write(folder: Path, **files: object) -> Path:
    folder.mkdir(parents=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")
    return folder


def test_nothing_to_read_is_none(tmp_path: Path) -> None:
    assert read(tmp_path / "powercap", tmp_path / "hwmon") is None


def test_rapl_package_comes_before_its_parts_and_before_sensors(tmp_path: Path) -> None:
    write(tmp_path / "powercap" / "intel-rapl:0", energy_uj=5_000_000, max_energy_range_uj=262_000_000)
    write(tmp_path / "powercap" / "intel-rapl:0:0", energy_uj=1)
    write(tmp_path / "hwmon" / "hwmon0", name="ina219", power1_input=2_500_000)
    assert read(tmp_path / "powercap", tmp_path / "hwmon") == Counter("RAPL intel-rapl:0", 5.0, None, 262.0)


def test_a_power_sensor_serves_where_nothing_else_does(tmp_path: Path) -> None:
    write(tmp_path / "hwmon" / "hwmon0", name="coretemp", temp1_input=41000)
    write(tmp_path / "hwmon" / "hwmon1", name="ina219", power1_input=2_500_000)
    assert read(tmp_path / "powercap", tmp_path / "hwmon") == Counter("hwmon ina219", None, 2.5)


def test_energy_between_readings() -> None:
    assert between(Counter("r", 5.0, None, 100.0), Counter("r", 7.5, None, 100.0), 1.0) == 2.5
    assert between(Counter("r", 99.0, None, 100.0), Counter("r", 1.0, None, 100.0), 1.0) == pytest.approx(2.0)
    assert between(Counter("p", None, 2.0), Counter("p", None, 3.0), 4.0) == 10.0


def test_rows_carry_energy_per_sample_or_none() -> None:
    def answers(joules: float | None) -> dict[str, list[dict[str, object]]]:
        operation = {"operation": "predict", "batch": 4, "values_us": [10.0] * 5, "joules": joules}
        return {"csr": [{"operations": [operation]}, {"operations": [operation]}]}

    assert result_rows(answers(2.0), ("predict",))[0]["joules_per_sample"] == pytest.approx(4.0 / 40)
    assert result_rows(answers(None), ("predict",))[0]["joules_per_sample"] is None


def test_the_table_says_where_energy_comes_from_or_why_there_is_none() -> None:
    row = {"operation": "predict", "batch": 1, "engine": "csr", "joules_per_sample": 2.5e-6}
    shown = energy_lines({"energy": {"source": "RAPL intel-rapl:0", "note": None}, "results": [row]})
    assert shown == ["energy per sample, whole system, RAPL intel-rapl:0: predict b1 csr 2.5 uJ"]
    hidden = energy_lines({"energy": {"source": None, "note": NOT_AVAILABLE}, "results": [row]})
    assert hidden == [f"energy: {NOT_AVAILABLE}"]
