"""Every command answers what it cannot use with one line that names it, status 2, no traceback and no output."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper
from small_models import analytic_state

from ssd_edge.cli import COMMANDS, main
from ssd_edge_runtime import model_file

NEEDS_A_MODEL = {
    "inspect": "inspect {}",
    "infer": "infer {} data.npz",
    "eval": "eval {} data.npz",
    "learn": "learn {} data.npz",
    "forget": "forget {} --class 0",
    "rename": "rename {} 0 zero",
    "merge": "merge {} {} --base {} -o merged.onnx",
    "rebase": "rebase {} --from {} --onto {} -o rebased.onnx",
    "bench": "bench {} --engines csr --processes 1 --seconds 0.01",
    "verify": "verify {}",
}
NEEDS_A_FILE = NEEDS_A_MODEL | {"history": "history {}", "rollback": "rollback {}", "purge": "purge {}"}
NEEDS_A_RUN = {"prune": "prune {}", "sweep": "sweep {}", "export": "export {} -o out.onnx"}
NEEDS_DATA = {
    "train": "train {} -o run",
    "compare": "compare {} --methods ssd -o compared",
    "dataset": "dataset {} -o part.npz",
    "encoder": "encoder {} -o encoder.onnx",
}
WRONG_VALUES = {
    "demo": "demo --seed many",
    "train": "train digits --readout crystal-ball",
    "compare": "compare digits --seeds some",
    "prune": "prune run --criterion luck",
    "sweep": "sweep run --seeds some",
    "export": "export run --values float7",
    "dataset": "dataset digits --split half",
    "encoder": "encoder digits --epochs some",
    "infer": "infer model.onnx data.npz --engine abacus",
    "eval": "eval model.onnx data.npz --engine abacus",
    "learn": "learn model.onnx data.npz --epochs few",
    "forget": "forget model.onnx --class 0 --keep all",
    "rename": "rename model.onnx 0 zero --keep all",
    "merge": "merge model.onnx model.onnx --base model.onnx -o m.onnx --lock-timeout soon",
    "rebase": "rebase model.onnx --from model.onnx --onto model.onnx -o m.onnx --keep all",
    "rollback": "rollback model.onnx --to yesterday",
    "purge": "purge model.onnx --lock-timeout soon",
    "bench": "bench model.onnx --threads many",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good model, good data and bad files; commands run in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model_file.to_bytes(analytic_state()))
    np.savez(tmp_path / "data.npz", x=np.ones((4, 20), np.float32), y=np.array([0, 1, 2, 0]))
    (tmp_path / "text.onnx").write_text("This is no model.\n" * 50)
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [value],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    onnx.save(helper.make_model(graph), tmp_path / "other.onnx")
    (tmp_path / "empty").mkdir()
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(main, line.split())


def assert_one_line(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("error: "), result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("command", NEEDS_A_FILE)
def test_missing_file(place: Path, command: str) -> None:
    assert_one_line(run(NEEDS_A_FILE[command].replace("{}", "nowhere.onnx")), "nowhere.onnx")


@pytest.mark.parametrize("command", [name for name in NEEDS_A_MODEL if name != "verify"])
@pytest.mark.parametrize("file", ["text.onnx", "other.onnx", "empty"])
def test_file_that_is_no_model_of_ours(place: Path, command: str, file: str) -> None:
    before = sorted(path.name for path in place.iterdir())
    assert_one_line(run(NEEDS_A_MODEL[command].replace("{}", file)), file)
    left = [name for name in sorted(path.name for path in place.iterdir()) if not name.endswith(".lock")]
    assert left == before


@pytest.mark.parametrize(
    ("file", "what"), [("text.onnx", "not an ONNX model"), ("other.onnx", "not one of SSD-Edge's")]
)
def test_verify_finds_it_out(place: Path, file: str, what: str) -> None:
    """What is wrong is the result of ``verify``: a line on standard output, and status 2."""
    result = run(f"verify {file}")
    assert result.exit_code == 2
    assert result.stdout.startswith("FAILED structure")
    assert what in result.stdout
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize("command", NEEDS_A_RUN)
@pytest.mark.parametrize("folder", ["nowhere", "empty", "model.onnx"])
def test_folder_that_is_no_run(place: Path, command: str, folder: str) -> None:
    pytest.importorskip("torch")
    assert_one_line(run(NEEDS_A_RUN[command].replace("{}", folder)), folder)
    assert not (place / "out.onnx").exists()


@pytest.mark.parametrize("command", NEEDS_DATA)
@pytest.mark.parametrize("data", ["nowhere.npz", "no-such-set", "empty", "text.onnx"])
def test_data_that_is_none(place: Path, command: str, data: str) -> None:
    pytest.importorskip("torch")
    assert_one_line(run(NEEDS_DATA[command].replace("{}", data)), data)


@pytest.mark.parametrize("command", ["infer", "eval", "learn"])
def test_data_that_does_not_fit_the_model(place: Path, command: str) -> None:
    np.savez(place / "narrow.npz", x=np.ones((4, 7), np.float32), y=np.zeros(4, np.int64))
    assert_one_line(run(f"{command} model.onnx narrow.npz"), "20", "7")


@pytest.mark.parametrize("command", WRONG_VALUES)
def test_value_that_an_option_does_not_take(place: Path, command: str) -> None:
    """Wrong usage is answered in click's own form."""
    result = run(WRONG_VALUES[command])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: Invalid value" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bench model.onnx --engines steam", ("engines", "steam", "csr")),
        ("bench model.onnx --profile abacus", ("profile", "abacus", "raspberry-pi-4")),
        ("forget model.onnx --class unicorn", ("unicorn",)),
        ("rename model.onnx unicorn horse", ("unicorn",)),
        ("rollback model.onnx", ("model.onnx",)),
    ],
)
def test_value_that_breaks_a_rule(place: Path, line: str, words: tuple[str, ...]) -> None:
    assert_one_line(run(line), *words)


def test_no_command_was_left_out() -> None:
    tested = NEEDS_A_FILE | NEEDS_A_RUN | NEEDS_DATA | WRONG_VALUES
    assert set(COMMANDS) - set(tested) <= {"keygen", "sign"}, "signing has tests of its own"


@pytest.mark.parametrize(
    "provenance",
    [
        {"neurons": [1], "prune": [], "training": {"a": [[]]}},
        {"neurons": {"hidden1": 7, "x": [7, {"active": 1}]}, "prune": "all of it"},
        {"neurons": None, "data": {"deep": {"er": [{}]}}, "method": 9, "versions": [None]},
    ],
)
def test_provenance_of_another_type_is_shown_as_far_as_it_goes(place: Path, provenance: object) -> None:
    """It is whatever somebody wrote into the file."""
    (place / "model.onnx").write_bytes(model_file.to_bytes(replace(analytic_state(), provenance=provenance)))
    for line in ("inspect model.onnx", "inspect model.onnx --report page.html", "history model.onnx"):
        result = run(line)
        assert result.exit_code == 0 and result.exception is None, result.output


@pytest.mark.parametrize("pruned", [[1], "much", {"layers": 7}, {"layers": [7]}, {"density": "x", "criterion": 7}])
def test_a_file_that_does_not_say_how_it_was_pruned(pruned: object) -> None:
    pytest.importorskip("torch")
    from ssd_edge_export.verification.against_run import pruning_of
    from ssd_edge_runtime.errors import SSDEdgeError

    with pytest.raises(SSDEdgeError):
        pruning_of(pruned)
