"""Data frames and parquet files."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ssd_edge.data import Reading, load_arrays, load_data
from ssd_edge_runtime.errors import DataError, DataWarning

COLUMNS: dict[str, np.ndarray] = {
    "time": np.arange(5).astype("datetime64[ms]"),
    "__index_level_0__": np.array([4, 2, 0, 1, 3]),
    "a": np.array([0.5, 1.5, 2.5, 0.25, 9.0]),
    "b": np.array([3, -4, 5, 0, 7], np.int16),
    "on": np.array([True, False, True, True, False]),
    "device": np.array(["A1"] * 5, object),
    "Activity": np.array(["walk", "run", "walk", "sit", "run"], object),
}
X = np.stack([COLUMNS[name].astype(np.float32) for name in ("a", "b", "on")], axis=1)


class Frame:
    """What a data frame shows of itself."""

    def __init__(self, **columns: np.ndarray) -> None:
        self.columns = list(columns)
        self._columns = columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]


def made_by(library: str) -> Any:
    return Frame(**COLUMNS) if library == "stand-in" else pytest.importorskip(library).DataFrame(COLUMNS)


@pytest.mark.parametrize("library", ["stand-in", "pandas", "polars"])
def test_a_frame(library: str) -> None:
    left_out = r"'time' \(time\), .* \(an index\), .*'device' \(the same text everywhere\)"
    with pytest.warns(DataWarning, match=left_out):
        data = load_data(made_by(library))
    np.testing.assert_array_equal(data.x, X)
    assert data.names.tolist() == COLUMNS["Activity"].tolist()
    with warnings.catch_warnings(action="ignore"):
        named = load_data(made_by(library), reading=Reading(label_column="b"))
        assert len(load_data(made_by(library), split="test", split_files=True)) == 2
        with pytest.raises(DataError, match="row 1: labels must be strings or integers, got bool"):
            load_data(made_by(library), reading=Reading(label_column="on"))
    assert named.classes == ("-4", "0", "3", "5", "7")


def test_a_parquet_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").table(COLUMNS)
    path = tmp_path / "t.parquet"
    parquet.write_table(table, path)
    with pytest.warns(DataWarning, match=r"t\.parquet: left out, as no measurement"):
        np.testing.assert_array_equal(load_data(path).x, X)
    with pytest.warns(DataWarning, match="left out"):
        x, sources = load_arrays(path)
    np.testing.assert_array_equal(x, X)
    assert sources[2] == f"{path}[2]"
    path.write_bytes(b"PAR1" + bytes(90))
    with pytest.raises(DataError, match=r"t\.parquet: not a parquet file that can be read"):
        load_data(path)


def test_parquet_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"t\.parquet: reading parquet needs pyarrow: pip install pyarrow"):
        load_data(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1.0, 2.0], "label": ["x", None]}, "row 2: labels must be strings or integers, got None"),
        ({"a": [1.0, 2.0], "label": [np.nan, 1.0]}, "row 1: a label is missing"),
        ({"a": [1.0, 2.0], "label": [1.0, 1.5]}, "row 2: .*1.5 is no whole number"),
        ({"a": [1.0, 2.0], "label": ["x", "0.5"]}, "row 2: label 0.5 has a fraction"),
        ({"a": [1.0, np.nan], "label": ["x", "y"]}, "row 2, column 'a' holds NaN or infinity"),
        ({"a": [1.0, 1e300], "label": ["x", "y"]}, "row 2, column 'a' holds NaN or infinity"),
        ({"a": ["u", "v"], "label": ["x", "y"]}, "no column of measurements"),
        ({"a": [], "label": []}, "no samples in it"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(columns: dict[str, list[Any]], message: str) -> None:
    kinds = {"label": object} if any(isinstance(label, str) for label in columns["label"]) else {}
    frame = Frame(**{name: np.array(values, kinds.get(name)) for name, values in columns.items()})
    with pytest.raises(DataError, match=f"data frame: {message}"):
        load_data(frame)
