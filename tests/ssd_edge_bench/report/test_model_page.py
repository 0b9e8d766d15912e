"""The page of ``inspect --report``: everything on it, nothing fetched, neurons in a readable order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from encoders import behind, tiny_encoder
from small_models import analytic_state, gradient_state

from ssd_edge.cli import main
from ssd_edge_bench.report.charts import parts_of_a_whole, ranked
from ssd_edge_bench.report.model_page import by_class_served, frequencies, heat_map
from ssd_edge_runtime import model_file


def report(tmp_path: Path, state: object, name: str = "model") -> str:
    model, page = tmp_path / f"{name}.onnx", tmp_path / "page.html"
    model.write_bytes(model_file.to_bytes(state))  # type: ignore[arg-type]
    result = CliRunner().invoke(main, ["inspect", str(model), "--report", str(page)])
    assert result.exit_code == 0, result.stderr
    assert result.stderr == f"wrote {page}\n"
    return page.read_text()


def test_page_shows_neurons_classes_and_bytes(tmp_path: Path) -> None:
    state = analytic_state()
    state.classes = ["<cat>", "dog", "a very long name of a class"]
    text = report(tmp_path, state)
    for part in (
        "Where the bytes are",
        "Neurons of hidden1",
        "Active, reused and free",
        "&lt;cat&gt;",
        "30 neurons",
    ):
        assert part in text
    assert "<cat>" not in text
    assert "<script" not in text
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', text) == []


def test_page_shows_the_encoder(tmp_path: Path) -> None:
    text = report(tmp_path, behind(tiny_encoder(), analytic_state()))
    assert "encoder tiny, which gives 20 values; 20 -&gt; 30" in text
    assert re.search(r">encoder<.*>hidden1<", text, re.DOTALL)


def test_page_of_a_model_that_counted_nothing_says_so(tmp_path: Path) -> None:
    text = report(tmp_path, gradient_state())
    assert "No neuron has been counted yet" in text
    assert "Neurons of hidden1" not in text


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(model_file.to_bytes(analytic_state()))
    result = CliRunner().invoke(main, ["inspect", str(model), "--report", str(tmp_path / "no" / "page.html")])
    assert result.exit_code == 2
    assert result.stderr.endswith("page.html: No such file or directory\n")
    assert len(result.stderr.splitlines()) == 1


def test_frequencies_are_shares_of_the_samples_of_a_class() -> None:
    state = analytic_state()
    found = frequencies(state.layers[0], state.class_samples)
    assert found[1] == pytest.approx(state.layers[0].class_count[1] / state.class_samples[1])
    assert frequencies(state.layers[0], np.zeros(3, np.int64)).max() <= 1


def test_neurons_stand_by_the_class_that_they_serve_most() -> None:
    frequency = np.array([[0.1, 0.9, 0.0, 0.5], [0.8, 0.2, 0.0, 0.1]])
    assert by_class_served(frequency).tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("shape", [(2, 5), (3, 681), (60, 4000)])
def test_heat_map_is_small_whatever_the_layer(shape: tuple[int, int]) -> None:
    drawn = heat_map(np.random.default_rng(0).random(shape), [f"class {i}" for i in range(shape[0])])
    assert len(drawn) < 150_000
    assert f"{shape[1]:,} neurons" in drawn


def test_parts_of_a_whole_fill_the_bar() -> None:
    widths = re.findall(r'width="([\d.]+)" height="22"', parts_of_a_whole([("a", 3, "#000"), ("b", 1, "#111")]))
    assert [float(width) for width in widths] == pytest.approx([243, 81])


def test_ranked_stays_inside_its_picture() -> None:
    drawn = ranked(np.array([1.0, 0.5, 0.0]), 0.1)
    points = re.findall(r"([\d.]+),([\d.]+)", re.findall(r'points="([^"]+)"', drawn)[0])
    assert all(0 <= float(x) <= 340 and 0 <= float(y) <= 164 for x, y in points)
    assert "10% if all fired alike" in drawn
