"""Tables as loggers, spreadsheets and pandas write them."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from ssd_edge.data import Dataset, Reading, load_arrays, load_data
from ssd_edge.data.dialect import sniff
from ssd_edge_runtime.errors import DataError, DataWarning

X = [[0.5, -1.25, 3.0], [1.5, 2.25, -4.0], [2.5, 0.125, 5.0], [0.25, 7.5, 1e-3], [9.0, 8.5, 7.25]]
LABELS = ["walk", "run", "walk", "sit", "run"]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def read(path: Path, text: str, **options: str) -> tuple[Dataset, list[str]]:
    """The data set in a table, and what was remarked of it."""
    with warnings.catch_warnings(record=True) as remarks:
        warnings.simplefilter("always")
        data = load_data(write(path, text), reading=Reading(**options))
    assert all(remark.category is DataWarning for remark in remarks)
    return data, [str(remark.message) for remark in remarks]


def table(separator: str = ",", decimal: str = ".", end: str = "\n", names: str = "a,b,c,label") -> str:
    rows = [[*(f"{value:g}".replace(".", decimal) for value in row), LABELS[at]] for at, row in enumerate(X)]
    return end.join(separator.join(row) for row in [*([names.split(",")] if names else []), *rows]) + end


def assert_read(data: Dataset) -> None:
    np.testing.assert_array_equal(data.x, np.array(X, np.float32))
    assert data.names.tolist() == LABELS


FORMS = {
    "commas": table(),
    "semicolons": table(";"),
    "tabs": table("\t"),
    "semicolons and decimal commas": table(";", ","),
    "tabs and decimal commas": table("\t", ","),
    "no header": table(";", ",", names=""),
    "Windows": table(end="\r\n"),
    "an old Macintosh": table(end="\r"),
    "a blank line between all": table(end="\n\n"),
    "the separator announced": "sep=;\n" + table(";"),
    "a mark after every row": table(";").replace("\n", ";\n"),
    "a mark after every row but the first": table(";").replace("\n", ";\n").replace("label;", "label"),
    "all in quotes": "\n".join(",".join(f'"{cell}"' for cell in row.split(",")) for row in table().splitlines()),
    "decimal commas in quotes": "a,b,c,label\n"
    + "".join(
        ",".join(f'"{value:g}"'.replace(".", ",") for value in row) + f",{LABELS[at]}\n"
        for at, row in enumerate(X)
    ),
    "empty rows at the end": table() + ",,,\n,,,\n",
    "spaces around": table(",").replace(",", " , "),
    "a hash before the names": "# " + table(),
    "remarks before the names": "# logger 3, firmware 1.2\n#\n# started at 8:00, indoors\n" + table(),
    "remarks, and a hash before the names": "# logger 3\n# " + table(),
    "a remark and no names": "# logger 3: 50 Hz\n" + table(";", ",", names=""),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_table_in_another_form(tmp_path: Path, form: str) -> None:
    assert_read(read(tmp_path / "t.csv", FORMS[form])[0])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "t.tsv", table("\t", names="a,b,température,label"), encoding)
    assert_read(load_data(path))


def test_an_encoding_that_does_not_tell_itself_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv: not a CSV file in UTF-8 .*save it in UTF-8"):
        load_data(write(tmp_path / "t.csv", table(names="a,b,température,label"), "latin-1"))


def test_lines_are_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.csv: line 5, column 'b': 'x' is no number"):
        read(tmp_path / "t.csv", "# logger 3\n# indoors\na,b,label\n0.5,1,u\n0.25,x,v\n0.1,3,u\n0.4,4,v\n")


def test_a_decimal_comma_that_comes_late(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    data, _ = read(path, "1;2;a\n" * 300 + "1,5;2;b\n")
    assert data.x[-1].tolist() == [1.5, 2.0]
    with pytest.raises(DataError, match=r"t.csv: line 302, column 1: '1,5' is no number"):
        read(path, "1;2;a\n" * 300 + "1.5;2;a\n1,5;2;b\n")


def test_text_with_separators_in_it(tmp_path: Path) -> None:
    data, _ = read(tmp_path / "t.csv", '0.5,1,"pump; left, ""A"""\n0.25,2,"a; b"\n')
    assert data.classes == ("a; b", 'pump; left, "A"')


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("0,1,2,3\n0.5,0.5,0.2,7\n0.1,0.9,0.3,8\n", 2),
        ("1,2,3,4,5\n9,8,2,1,0\n3,3,1,5,1\n", 2),
        (",".join(f"{900 + 2.5 * i:.1f}" for i in range(9)) + ",kind\n" + "3,1,4,1,5,9,2,6,5,oak\n" * 12, 12),
        ("0.9,0.7,0.6,0.5,0.4,0.3,0.2,0.1,0\n" + "3,1,4,1,5,9,2,6,5\n" * 12, 12),
        ("0,1\n2,3\n", 2),
        ("0,1,2\n", 1),
        ("1,2,3,4\n5,6,7,8\n9,10,11,12\n", 3),
        ("1,2,3,4,5,6,7,8,9\n2,3,4,5,6,7,8,9,10\n", 2),
        ("0.5,0.25,y\n0.5,0.125,n\n0.75,0.5,y\n", 3),
    ],
)
def test_a_header_of_numbers(tmp_path: Path, text: str, samples: int) -> None:
    """Numbers that count or ascend above others that do not; what could be a sample is one."""
    data, remarks = read(tmp_path / "t.csv", text)
    assert len(data) == samples
    header = samples < len(text.splitlines())
    assert any("taking the first line" in remark for remark in remarks) == header


@pytest.mark.parametrize("name", ["label", "Class", "TARGET", " activity ", "y", "Y"])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_label_column_by_its_name(tmp_path: Path, name: str, at: int) -> None:
    rows = [["a", "b", "c"], *([f"{value:g}" for value in row] for row in X)]
    for row, label in zip(rows, [name, *"31231"], strict=True):
        row.insert(at, label)
    data, remarks = read(tmp_path / "t.csv", "\n".join(map(",".join, rows)))
    np.testing.assert_array_equal(data.x, np.array(X, np.float32))
    assert (data.names.tolist(), remarks) == (list("31231"), [])


def test_a_label_column_by_option(tmp_path: Path) -> None:
    text = "kind,a,y\n1,0.5,0.25\n2,0.5,0.75\n"
    for name in ("kind", "KIND", "1"):
        data, remarks = read(tmp_path / "t.csv", text, label_column=name)
        assert (data.names.tolist(), remarks) == (["1", "2"], [])
        assert data.x.tolist() == [[0.5, 0.25], [0.5, 0.75]]
    with pytest.raises(DataError, match=r"t.csv: no column 'sort'; there are kind, a, y"):
        read(tmp_path / "t.csv", text, label_column="sort")


@pytest.mark.parametrize(
    ("text", "labels", "remark"),
    [
        ("species,a,b\nfox,1,2\nemu,3,4\n", ["fox", "emu"], "taking column 'species' as the labels"),
        ("a,b,kind\n1,2,5\n3,4,6\n", ["5", "6"], "taking column 'kind' as the labels"),
        ("4,0.5,0.25\n5,0.5,0.75\n", ["4", "5"], "taking column 1 as the labels"),
        ("x,y,z,gesture\n1,2,3,up\n4,5,6,down\n", ["up", "down"], "taking column 'gesture' as the labels"),
        ("where,a,b\nhere,1.5,8\nhere,2.5,9\n", ["8", "9"], "taking column 'b' as the labels"),
    ],
)
def test_a_label_column_that_is_guessed_is_told(tmp_path: Path, text: str, labels: list[str], remark: str) -> None:
    data, remarks = read(tmp_path / "t.csv", text)
    assert data.names.tolist() == labels
    assert remarks[0] == f"{tmp_path / 't.csv'}: {remark}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.5,1.5\n0.25,2.5\n", "column 2 holds fractions, and names no class: say which does, --label-column"),
        ("a,b\n0.5,1\n0.25,2\n0.5,3\n0.75,4\n", "column 'b' counts up, and names no class"),
        ("who,what,a\nann,up,1\nbob,down,2\n", "several columns could be the label"),
        ("a b\nc d\n", "no samples|no column"),
    ],
)
def test_a_doubt_about_the_label_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: {message}"):
        read(tmp_path / "t.csv", text)


OTHERS = {
    "pandas' index": ("", [str(i) for i in range(5)], "column 1 (an index)"),
    "pandas' index, twice saved": ("Unnamed: 0", list("97531"), "column 'Unnamed: 0' (an index)"),
    "a number of the row": ("sample", [str(i) for i in range(41, 46)], "column 'sample' (counts up)"),
    "a device": ("device", ["A1"] * 5, "column 'device' (the same text everywhere)"),
    "a person": ("who", ["ann", "bob", "cy", "ann", "bob"], "column 'who' (text)"),
    "nothing": ("note", [""] * 5, "column 'note' (empty)"),
    "a time": ("Timestamp", [f"{1.7e9 + i:.2f}" for i in range(5)], "column 'Timestamp' (time)"),
    "a date": ("date", [f"2024-01-0{i}" for i in range(1, 6)], "column 'date' (time)"),
    "milliseconds": ("time [ms]", ["0", "20", "40", "60", "80"], "column 'time [ms]' (time)"),
    "t": ("T", ["5", "3", "1", "2", "4"], "column 'T' (time)"),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_column_without_a_measurement_is_left_out_and_told(tmp_path: Path, other: str) -> None:
    name, cells, told = OTHERS[other]
    lines = [f"{cell},{line}" for cell, line in zip([name, *cells], table().splitlines(), strict=True)]
    path = tmp_path / "t.csv"
    data, remarks = read(path, "\n".join(lines))
    assert_read(data)
    assert remarks == [f"{path}: left out, as no measurement: {told}"]
    with pytest.warns(DataWarning, match="left out"):
        x, sources = load_arrays(path)
    np.testing.assert_array_equal(x, data.x)
    assert sources[4] == f"{path}[4]"


def test_names_of_rows_without_a_name_of_their_own(tmp_path: Path) -> None:
    """As R writes them."""
    lines = table().splitlines()
    text = "\n".join([lines[0], *(f'"{i}",{line}' for i, line in enumerate(lines[1:], 1))])
    data, remarks = read(tmp_path / "t.csv", text)
    assert_read(data)
    assert remarks[0].endswith("left out, as no measurement: column 1 (an index)")


def test_dead_pixels_are_measurements(tmp_path: Path) -> None:
    data, remarks = read(tmp_path / "t.csv", "p0,p1,label\n" + "".join(f"0,{i * i},{i % 2}\n" for i in range(9)))
    assert (data.x.shape, remarks) == ((9, 2), [])


def test_a_column_that_the_model_takes_may_count(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "a,b\n" + "".join(f"{i},{i * i}\n" for i in range(9)))
    assert load_arrays(path, width=2)[0].shape == (9, 2)
    with pytest.warns(DataWarning, match="counts up"):
        assert load_arrays(path, width=1)[0].shape == (9, 1)
    only = write(tmp_path / "u.csv", "a,label\n" + "".join(f"{i},{i % 2}\n" for i in range(9)))
    assert load_data(only).x.shape == (9, 1)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("", "a label is missing"),
        ("  ", "a label is missing"),
        ("NaN", "a label is missing, the cell holds 'NaN'"),
        ("nan", "a label is missing"),
        ("NA", "a label is missing"),
        ("#N/A", "a label is missing"),
        ("<NA>", "a label is missing"),
        ("None", "'None' stands for a label that is missing"),
        ("0.5", "label 0.5 has a fraction"),
        ("-2.50", "label -2.50 has a fraction"),
        ("1e-3", "label 1e-3 has a fraction"),
        ("a\x07b", "line break or control character"),
        ('"a\nb"', "line break or control character"),
        ("x" * 1001, "1 to 1000 characters"),
    ],
)
def test_a_label_that_names_no_class_is_refused_where_it_stands(tmp_path: Path, cell: str, message: str) -> None:
    line = 5 if "\n" in cell else 4
    with pytest.raises(DataError, match=rf"t\.csv: line {line}: .*{message}"):
        read(tmp_path / "t.csv", f"s1,s2,label\n1,2,7\n3,4,8\n5,6,{cell}\n")


def test_labels_that_spreadsheets_wrote_are_whole(tmp_path: Path) -> None:
    data, _ = read(tmp_path / "t.csv", "1,2,10.0\n3,4,9.\n5,6,9,\n7,8,9.00\n")
    assert (data.classes, data.y.tolist()) == (("9", "10"), [1, 0, 0, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,label\n1,2,x\n1,,y\n", "line 3, column 'b': '' is no number"),
        ("a,b,label\n1,2,x\n1,off,y\n3,4,x\n", "line 3, column 'b': 'off' is no number"),
        ("a,b,label\n1,2,x\n1,inf,y\n", "line 3 holds NaN or infinity"),
        ("a,b,label\n1,2,x\n1,1e300,y\n", "line 3 holds NaN or infinity"),
        ("a,b,label\n1,2,x\n1,2,3,y\n", "line 3 has 4 columns, expected 3"),
        ("a,b,label\n\n\n1,x\n", "line 4 has 2 columns, expected 3"),
        ("x,y,label\nten,eleven,a\n", "no column of measurements in it"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv: {message}"):
        read(tmp_path / "t.csv", text)


def test_the_line_is_that_of_the_file(tmp_path: Path) -> None:
    """Past many rows, past a cell that spans lines, and past the line that names the separator."""
    text = 'sep=;\na;b;label\n1;2;"u"\n' + "1;2;v\n" * 70_000 + "1;nan;v\n"
    with pytest.raises(DataError, match=r"line 70004 holds NaN"):
        read(tmp_path / "t.csv", text)


@pytest.mark.parametrize("cell", ["1", pytest.param("0.25", marks=pytest.mark.slow)])
def test_memory_follows_the_file(tmp_path: Path, cell: str) -> None:
    """At most four times the file, over what an empty table takes."""
    script = (
        "import resource, sys; from ssd_edge.data import load_data; load_data(sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    row = ",".join([cell] * 100) + ",a\n"
    small, large = write(tmp_path / "s.csv", row), write(tmp_path / "l.csv", row * 100_000)
    peaks = [
        int(subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True).stdout)
        for path in (small, large)
    ]
    assert (peaks[1] - peaks[0]) * 1024 <= 4 * large.stat().st_size


@pytest.mark.slow
def test_memory_follows_a_file_of_one_column_too(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from ssd_edge.data import load_arrays; x, sources = load_arrays(sys.argv[1]);"
        "print(len(x), sources[-1], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    small, large = write(tmp_path / "s.csv", "a\n1\n0\n"), write(tmp_path / "l.csv", "a\n" + "1\n0\n" * 1_000_000)
    told = [
        subprocess.run([sys.executable, "-c", script, path], capture_output=True, check=True, text=True).stdout
        for path in (small, large)
    ]
    assert told[1].startswith(f"2000000 {large}[1999999] ")
    peaks = [int(each.split()[-1]) for each in told]
    assert (peaks[1] - peaks[0]) * 1024 <= 6 * large.stat().st_size


def test_the_separator_is_found_where_text_holds_others(tmp_path: Path) -> None:
    for text, mark in (("1.5|2;3;x,y\n4;5;u,v\n", ";"), ("a;b,1,2\nc;d,3,4\n", ","), ("1,5\t2,5\tx;y\n", "\t")):
        assert sniff(write(tmp_path / "t.csv", text)).separator == mark
