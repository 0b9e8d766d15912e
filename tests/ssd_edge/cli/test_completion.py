"""What a shell offers for each place of a command line."""

from pathlib import Path

import pytest
from click.shell_completion import CompletionItem, ShellComplete
from click.testing import CliRunner

from ssd_edge.cli import main
from ssd_edge.cli.completion import DATA_SETS, METHODS, READOUTS
from ssd_edge.data import BUILTIN
from ssd_edge.methods.registry import METHODS as REGISTRY
from ssd_edge_runtime.options import ReadoutKind


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_for_each_shell(shell: str) -> None:
    result = CliRunner().invoke(main, env={"_SSD_EDGE_COMPLETE": f"{shell}_source"}, prog_name="ssd-edge")
    assert result.exit_code == 0
    assert "_SSD_EDGE_COMPLETE" in result.stdout


def offers_for(words: str) -> list[CompletionItem]:
    """What the shell would offer for the last of ``words``."""
    *before, last = words.split(" ")
    return ShellComplete(main, {}, "ssd-edge", "_SSD_EDGE_COMPLETE").get_completions(before, last)


def complete(words: str) -> list[str]:
    return [offer.value for offer in offers_for(words) if offer.type == "plain"]


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("le", ["learn"]),
        ("re", ["rename", "rebase"]),
        ("infer --eng", ["--engine"]),
        ("infer --engine c", ["csr"]),
        ("train fash", ["fashion-mnist"]),
        ("eval model.onnx cifar", ["cifar10", "cifar100"]),
        ("learn model.onnx x.npz --guard mn", ["mnist"]),
        ("train digits --method s", ["ssd", "sdmlp", "si", "set", "srigl"]),
        ("train digits --method ssd+s", ["ssd+sdmlp", "ssd+si", "ssd+set", "ssd+srigl"]),
        ("compare digits --methods ssd,ssd+a", ["ssd,ssd+adagrad", "ssd,ssd+analytic"]),
        ("compare digits --methods ssd,j", ["ssd,joint"]),
        ("train digits --read", ["--readout", "--readout-init"]),
        ("bench --profile raspberry-pi-", ["raspberry-pi-4", "raspberry-pi-5", "raspberry-pi-zero-2w"]),
        ("bench --engines csr,onnxruntime-", ["csr,onnxruntime-dense", "csr,onnxruntime-int8"]),
    ],
)
def test_the_shell_completes_commands_options_and_values(words: str, offers: list[str]) -> None:
    assert complete(words) == offers


def test_names_that_are_offered_are_all_there_are() -> None:
    assert set(METHODS) == set(REGISTRY)
    assert set(DATA_SETS) == set(BUILTIN)
    assert set(READOUTS) == set(ReadoutKind.__args__)


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("forget {} --class ", ["low", "high"]),
        ("forget {} --purge --class h", ["high"]),
        ("rename {} ", ["low", "high"]),
        ("rename {} low ", []),
    ],
)
def test_classes_of_the_model_are_offered(model: Path, words: str, offers: list[str]) -> None:
    assert complete(words.format(model)) == offers


def test_a_file_that_is_no_model_offers_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("not a model")
    assert complete(f"forget {tmp_path / 'notes.onnx'} --class ") == []
    assert complete(f"forget {tmp_path / 'none.onnx'} --class ") == []


def test_files_are_offered_beside_the_names() -> None:
    assert [offer.value for offer in offers_for("train photos/") if offer.type == "file"] == ["photos/"]
