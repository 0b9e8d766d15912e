"""Windows of a table: where they begin, what their channels are, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssd_edge.data import Reading, load_arrays, load_data
from ssd_edge_runtime.errors import DataError, OptionError

PAIR = Reading(window=3, stride=2, channels=("a", "b"))
GROUPED = Reading(window=3, channels=("a", "b"), group="who")


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def rows(labels: str, groups: str = "") -> list[str]:
    """Of ``t,a,b,who,activity``, a counting from 0 and b ten more."""
    who = groups or "1" * len(labels)
    return [f"{i / 10},{i}.5,{i + 10}.5,{who[i]},{label}" for i, label in enumerate(labels)]


HEADER = "t,a,b,who,activity"


def firsts(x: np.ndarray) -> list[int]:
    """The row that each window begins with."""
    return [int(sample[0, 0]) for sample in x]


def test_windows_are_consecutive_rows_of_one_label(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADER, *rows("uuuuuuvvvvu"))
    data = load_data(path, reading=PAIR)
    assert data.input_shape == (2, 3)
    assert firsts(data.x) == [0, 2, 6]
    assert list(data.names) == ["u", "u", "v"]
    np.testing.assert_array_equal(data.x[1], [[2.5, 3.5, 4.5], [12.5, 13.5, 14.5]])


@pytest.mark.parametrize(
    ("groups", "starts"),
    [("11112222", [0, 4]), ("11222221", [2]), ("ppp   qq", [0, 3])],
    ids=["two halves", "in the middle of a label", "a group without a name"],
)
def test_no_window_goes_across_groups(tmp_path: Path, groups: str, starts: list[int]) -> None:
    path = write(tmp_path / "log.csv", HEADER, *rows("uuuuuuuu", groups))
    assert firsts(load_data(path, reading=GROUPED).x) == starts


def test_channels_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "B;who;activity; A", *[f"{i + 10},5;1;u;{i},5" for i in range(3)])
    np.testing.assert_array_equal(load_data(path, reading=GROUPED).x, [[[0.5, 1.5, 2.5], [10.5, 11.5, 12.5]]])


def test_a_table_without_names_has_its_channels_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", *[f"{i * i}.5,{3 * i}.25,u" for i in range(4)])
    assert load_data(path, reading=Reading(window=4, channels=("a", "b"))).x[0, 1, 3] == 9.25
    assert load_data(path, reading=Reading(window=4, channels=("2",))).x.tolist() == [[[0.25, 3.25, 6.25, 9.25]]]
    with pytest.raises(DataError, match="no names of columns, and 2 of measurements for the 3 channels a, b, c"):
        load_data(path, reading=Reading(window=4, channels=("a", "b", "c")))


def test_without_channels_a_window_has_all_measurements(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "time,a,b,activity", *[f"{i},{3 * i}.5,{i * i},u" for i in range(5)])
    with pytest.warns(match="left out, as no measurement: column 'time'"):
        data = load_data(path, reading=Reading(window=5))
    assert data.input_shape == (2, 5)


def test_unlabelled_tables_need_no_group(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", "t,b,a", *[f"{i},{i + 10},{i}" for i in range(7)])
    x, sources = load_arrays(path, reading=GROUPED)
    assert firsts(x) == [0, 3]
    assert list(sources) == [f"{path}[0]", f"{path}[1]"]


def test_frames_and_parquet_have_the_same_windows(tmp_path: Path) -> None:
    pandas, parquet = pytest.importorskip("pandas"), pytest.importorskip("pyarrow")
    assert parquet
    path = write(tmp_path / "log.csv", HEADER, *rows("uuuuuuvvvvvv", "111222222222"))
    frame = pandas.read_csv(path)
    frame.to_parquet(tmp_path / "log.parquet")
    want = load_data(path, reading=GROUPED)
    for source in (frame, tmp_path / "log.parquet"):
        data = load_data(source, reading=GROUPED)
        np.testing.assert_array_equal(data.x, want.x)
        assert list(data.names) == list(want.names) == ["u", "u", "v", "v"]


@pytest.mark.parametrize(
    ("lines", "reading", "told"),
    [
        ([HEADER, *rows("uu")], PAIR, "no window of 3 rows in it: at most 2 in a row are of one label"),
        ([HEADER, *rows("uvuvuv")], PAIR, "no window of 3 rows in it: at most 1 in a row"),
        ([HEADER, *rows("uuuu")], Reading(window=2, channels=("a", "c")), "no column 'c'; there are t, a, b, who"),
        ([HEADER, *rows("uuuu")], Reading(window=2, channels=("a",), group="cow"), "no column 'cow'"),
        ([HEADER, *rows("uuuu")], Reading(window=2, channels=("a", "who"), group="who"), "cannot be the group"),
        (
            [HEADER, *rows("uuuu")],
            Reading(window=2, channels=("a",), label_column="a"),
            "'a' is a channel and cannot be the label",
        ),
        ([HEADER, *rows("uuuu"), "1,2.5,far,1,u"], PAIR, "line 6, column 'b': 'far' is no number"),
    ],
)
def test_what_makes_no_windows_is_named(tmp_path: Path, lines: list[str], reading: Reading, told: str) -> None:
    path = write(tmp_path / "log.csv", *lines)
    with pytest.raises(DataError, match=told):
        load_data(path, reading=reading)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"window": 0}, "window must be at least 1, got 0"),
        ({"window": 4, "stride": 0}, "stride must be at least 1, got 0"),
        ({"window": 4, "channels": ("a", "a")}, "channels name a twice"),
        ({"stride": 3}, "stride is an option of windows: give window, too"),
        ({"group": "who"}, "group is an option of windows"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Reading(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.5])
def test_parts_share_no_rows(tmp_path: Path, seed: int, share: float) -> None:
    path = write(tmp_path / "log.csv", HEADER, *rows("u" * 40 + "v" * 30 + "u" * 20))
    data = load_data(path, reading=PAIR)
    rest, held = data.hold_out(share, seed)
    used = [{row for first in firsts(part.x) for row in range(first, first + 3)} for part in (rest, held)]
    assert not used[0] & used[1]
    assert held.counts().tolist() == [round(share * int(n)) for n in data.counts()]
    lost = len(data) - len(rest) - len(held)
    assert lost <= 4  # a window at either end, of either class
    again = rest.select(["v"]).hold_out(0.5, seed)
    assert not {*firsts(again[0].x)} & {*firsts(again[1].x)}


def test_windows_apart_are_drawn_as_other_samples_are(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADER, *rows("u" * 60))
    data = load_data(path, reading=Reading(window=3, stride=3, channels=("a", "b")))
    rest, held = data.hold_out(0.3, 1)
    assert (len(rest), len(held)) == (14, 6)
    assert np.diff(sorted(firsts(held.x))).max() > 3


def test_windows_that_all_share_rows_cannot_be_split(tmp_path: Path) -> None:
    path = write(tmp_path / "log.csv", HEADER, *rows("uuuuuvvvvv"))
    data = load_data(path, reading=Reading(window=4, stride=1, channels=("a",)))
    with pytest.raises(DataError, match=r"no class has windows that share no rows: nothing can be held out"):
        data.hold_out(0.5)
