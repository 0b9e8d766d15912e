"""The report: one well-formed page that needs nothing else, with every figure on it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge_bench.report.charts import LogAxis, Point, bars, distributions, roofline
from ssd_edge_bench.report.units import duration, share, size

VOID = {"meta", "link", "br"}


class Balanced(HTMLParser):
    """Fails on a tag that is not closed in order; collects text and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Balanced:
    """A report with everything in it, parsed."""
    from ssd_edge_runtime import model_file

    folder = tmp_path_factory.mktemp("page")
    model, data = folder / "<model>.onnx", folder / "data.npz"
    model.write_bytes(model_file.to_bytes(make_state("analytic")))
    np.savez(
        data, x=np.random.default_rng(0).random((6, 3, 4), np.float32), y=np.arange(6) % 3, classes=list("abc")
    )
    report = folder / "report.html"
    quick = "--processes 2 --seconds 0.02 --engines csr,onnxruntime-dense --operations start,predict,learn,solve"
    args = [
        "bench",
        str(model),
        *quick.split(),
        "--data",
        str(data),
        "--report",
        str(report),
        "--against",
        str(model),
    ]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"wrote {report}\n"
    parser = Balanced()
    parser.feed(report.read_text())
    assert parser.open == []
    return parser


def make_state(kind: str):  # type: ignore[no-untyped-def]
    """The state of this folder's fixtures, for a fixture of wider scope."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("bench_conftest", Path(__file__).parents[1] / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_state(kind)


def test_page_has_every_section(page: Balanced) -> None:
    text = " ".join(page.text)
    sections = (
        "Latency",
        "Size and memory",
        "How near the machine's bounds",
        "Accuracy",
        "All figures",
        "Machine",
    )
    for section in sections:
        assert section in text
    for figure in ("predict b1", "predict b32", "learn b1", "solve", "start", "onnxruntime-dense", "p99.9"):
        assert figure in text


def test_page_needs_no_network_and_no_script(page: Balanced) -> None:
    assert page.links == ["data:,"]
    assert "script" not in " ".join(page.text)


def test_names_are_escaped(page: Balanced) -> None:
    assert any("<model>.onnx" in text for text in page.text)


def test_log_axis_puts_equal_ratios_at_equal_distances() -> None:
    axis = LogAxis(1.0, 100.0)
    assert axis.at(10.0) - axis.at(1.0) == pytest.approx(axis.at(100.0) - axis.at(10.0))
    assert axis.at(0.01) == axis.at(1.0)
    assert axis.ticks() == [1.0, 10.0, 100.0]
    assert LogAxis(1.0, 20.0).ticks() == [1.0, 2.0, 5.0, 10.0, 20.0]


def test_charts_stay_inside_their_picture() -> None:
    drawn = [
        distributions(
            [("csr", np.array([1.0, 2.0, 900.0]), "#000"), ("other", np.array([5e5, 1e6, 1e6]), "#111")]
        ),
        roofline([Point("predict", 0.2, 1e9), Point("learn", 50.0, 5e10)], 2e10, 1e11),
    ]
    for svg in drawn:
        width, height = map(float, re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
        for x in re.findall(r'(?:\bx|cx)="([-\d.]+)"', svg):
            assert 0 <= float(x) <= width
        for y in re.findall(r'(?:\by|cy)="([-\d.]+)"', svg):
            assert 0 <= float(y) <= height


def test_bars_are_in_proportion() -> None:
    from ssd_edge_bench.report.charts import Bar

    lengths = [
        float(length) for length in re.findall(r'width="([\d.]+)"', bars([Bar("a", 4, ""), Bar("b", 1, "")]))
    ]
    assert lengths[0] == pytest.approx(4 * lengths[1])


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5 us"), (999.4, "999 us"), (1500, "1.5 ms"), (2.5e6, "2.5 s"), (999_600, "1 s")]
)
def test_durations_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert duration(value) == text


def test_sizes_and_shares() -> None:
    assert [size(count) for count in (12, 1234, 5e6, 3.2e9)] == ["12 B", "1.23 kB", "5 MB", "3.2 GB"]
    assert [share(value) for value in (0.0004, 0.056, 0.5, 1.28)] == ["0.04%", "5.6%", "50%", "128%"]
