"""Training behind an encoder: what a run holds, what it refuses, and what is computed only once."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call, refused
from encoders import encoder_model, images

from ssd_edge import compare, resume, train
from ssd_edge.data import Dataset, load_data
from ssd_edge.encoders import CACHE, Embeddings
from ssd_edge.training import Run, TrainConfig
from ssd_edge.training.evaluate import accuracies
from ssd_edge.training.task_data import Part
from ssd_edge_export import PruneOptions, prune
from ssd_edge_runtime.encoder import EncoderSession, import_encoder
from ssd_edge_runtime.errors import DataError, OptionError

QUICK = {"hidden": (40,), "epochs": 1, "device": "cpu"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with an encoder for digits."""
    monkeypatch.chdir(tmp_path)
    Path("own.onnx").write_bytes(encoder_model(24).SerializeToString())
    return tmp_path


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many samples each call for embeddings came with, in this process."""
    counts: list[int] = []
    embed = EncoderSession.embed

    def counting(self: EncoderSession, x: np.ndarray) -> np.ndarray:
        counts.append(len(x))
        return embed(self, x)

    monkeypatch.setattr(EncoderSession, "embed", counting)
    return counts


def begin(**options: object) -> Run:
    return train("digits", encoder="own.onnx", output="runs/a", **{**QUICK, "until_task": 2, **options})


def test_the_network_learns_from_embeddings(place: Path) -> None:
    run = begin(method="random")
    assert run.encoder is not None and (run.encoder.name, run.encoder.width) == ("own", 24)
    raw, data = load_data("digits", split="test").select(run.network.classes), run.test_data()
    np.testing.assert_allclose(data.x, EncoderSession(run.encoder).embed(raw.x), atol=1e-6)
    assert (data.y.tolist(), data.classes, run.network.input_shape) == (raw.y.tolist(), raw.classes, (24,))
    assert len(run.training_data()) == len(load_data("digits").select(run.network.classes))
    parts = [data.select(names["classes"]) for names in run.metrics["tasks"]]
    u = [Part(run.network.preprocess(torch.from_numpy(p.x)), torch.from_numpy(p.y)) for p in parts]
    u[1] = Part(u[1].u, u[1].y + 2)
    assert run.metrics["accuracy_matrix"][-1][:2] == accuracies(run.network, u)
    loaded = Run.load("runs/a")
    assert loaded.encoder == run.encoder and loaded.encoder.name == "own"
    np.testing.assert_array_equal(loaded.test_data().x, data.x)


def test_a_run_needs_nothing_but_its_folder_and_the_data(place: Path) -> None:
    begin(method="random")
    Path("own.onnx").unlink()
    shutil.rmtree(f"runs/{CACHE}")
    shutil.move("runs/a", "elsewhere")
    run = resume("elsewhere", until_task=3)
    assert len(run.network.classes) == 6 and Path(CACHE).is_dir()


def test_embeddings_are_computed_once(place: Path, embedded: list[int]) -> None:
    run = begin(method="ssd")
    known = len(run.training_data()) + len(run.test_data())
    assert sum(count for count in embedded if count > 6) == known
    done: list[tuple[int, int]] = []
    embedded.clear()
    run = resume("runs/a", until_task=3, encoding=lambda *told: done.append(told))
    new = run.training_data().select(["4", "5"]), run.test_data().select(["4", "5"])
    assert sum(count for count in embedded if count > 6) == sum(map(len, new))
    assert done[-1] == (len(run.training_data()) + len(run.test_data()),) * 2
    embedded.clear()
    prune(Run.load("runs/a"), PruneOptions(density=0.5)).save("runs/b")
    Run.load("runs/b").training_data()
    again = train(
        "digits", encoder="own.onnx", output="runs/c", method="random", until_task=3, class_order=None, **QUICK
    )
    assert max(embedded, default=0) <= 6 and again.encoder == run.encoder


def test_run_folder_of_an_earlier_revision_loads(place: Path) -> None:
    begin(method="random")
    config = Path("runs/a/config.toml")
    config.write_text(config.read_text().replace('encoder = "own.onnx"', 'backbone = "own.onnx"'))
    assert "\nbackbone = " in config.read_text()
    run = Run.load("runs/a")
    assert run.config.encoder == "own.onnx" and run.encoder is not None
    with pytest.raises(OptionError, match=r"no option 'backbone'; there are .*, encoder,"):
        train("digits", backbone="own.onnx")


def test_resumed_run_ends_with_the_same_bits(place: Path) -> None:
    begin(method="ssd", until_task=1)
    parted = resume("runs/a", until_task=2)
    whole = train("digits", encoder="own.onnx", output="runs/whole", method="ssd", until_task=2, **QUICK)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(parted.network.state_dict()[name], value), name


def test_without_a_folder(place: Path) -> None:
    x, y = images(0, 120)
    data = Dataset(x, y, ("a", "b", "c"))
    run = train(data, encoder="own.onnx", method="random", tasks=1, **QUICK)
    assert run.training_data().input_shape == (24,) and run.metrics["average_accuracy"] > 0.9
    assert [path.name for path in place.iterdir()] == ["own.onnx"]


def test_a_path_and_embeddings_of_ones_own(place: Path) -> None:
    x, y = images(0, 60)
    data = Dataset(x, y, ("a", "b", "c"))
    own = Embeddings(import_encoder("own.onnx"))
    options = {"method": "random", "tasks": 1, **QUICK}
    first = train(data, encoder=Path("own.onnx"), **options)
    assert first.config.encoder == "own.onnx"
    second = train(data, encoder="own.onnx", embeddings=own, **options)
    assert second.embeddings is own and second.metrics["accuracy_matrix"] == first.metrics["accuracy_matrix"]
    with pytest.raises(OptionError, match="embeddings go with an encoder: give its name, too"):
        train(data, embeddings=own, **options)


def test_stopped_while_encoding(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: EncoderSession, x: np.ndarray) -> np.ndarray:
        if len(x) > 100:
            raise KeyboardInterrupt
        return embed(self, x)

    embed = EncoderSession.embed
    monkeypatch.setattr(EncoderSession, "embed", stop)
    result = call("train", "digits", "--encoder", "own.onnx", "--tasks", 1, "-o", "run")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("stopped before training began; embeddings made so far are kept")
    assert not Path("run").exists()


def test_another_encoder_in_the_folder(place: Path) -> None:
    begin(method="random", until_task=1)
    Path("runs/a/encoder.onnx").write_bytes(encoder_model(24, seed=1).SerializeToString())
    message = "encoder.onnx: not the encoder that this run was trained behind; put that one back"
    for go_on in (lambda: Run.load("runs/a"), lambda: resume("runs/a", until_task=2)):
        with pytest.raises(DataError, match=message):
            go_on()
    Path("runs/a/encoder.onnx").unlink()
    with pytest.raises(DataError, match=r"runs/a: encoder\.onnx is missing, which this run was trained behind"):
        Run.load("runs/a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder_size": 8}, "encoder-size goes with an encoder: give one"),
        ({"encoder_weights": "w.pt"}, "encoder-weights goes with an encoder: give one"),
        ({"encoder": "resnet18", "encoder_size": 0}, "encoder-size must be at least 1, got 0"),
        (
            {"encoder": "resnet18", "method": "views"},
            "method views looks at images, and an encoder makes embeddings",
        ),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainConfig("digits", **options)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["digits", "--encoder", "resnet81"],
            "encoder 'resnet81' is neither a file nor a model of torchvision; did",
        ),
        (["digits", "--encoder", "none.onnx"], "none.onnx: No such file or directory"),
        (["wide.npz", "--encoder", "own.onnx"], "encoder own takes samples of 1 x 8 x 8, the data set's are 3"),
        (
            ["wide.npz", "--encoder", "resnet18"],
            "resnet18 takes images, 1 or 3 channels x height x width; the data",
        ),
        (["digits", "--encoder", "resnet18", "--encoder-weights", "w.pt"], "w.pt: not weights that can be read"),
        (
            ["digits", "--encoder", "own.onnx", "--encoder-weights", "w.pt"],
            "encoder-weights goes with a model of",
        ),
        (["digits", "--encoder", "w.pt"], "w.pt: not an ONNX model"),
    ],
)
def test_one_line_and_nothing_written(place: Path, arguments: list[str], message: str) -> None:
    np.savez("wide.npz", x=np.ones((8, 3), np.float32), y=np.arange(8) % 4)
    Path("w.pt").write_bytes(b"noise")
    before = sorted(place.iterdir())
    assert refused("train", *arguments, "--tasks", 2, "-o", "run").startswith(message)
    assert sorted(place.iterdir()) == before


def test_resume_takes_no_other_encoder(place: Path) -> None:
    begin(method="random", until_task=1)
    message = refused("train", "--resume", "-o", "runs/a", "--encoder", "own.onnx")
    assert message == "--resume takes its options from runs/a/config.toml; leave out encoder"


class TestCompare:
    def rows(self, **options: object) -> Callable[[], dict[str, list[float]]]:
        def run() -> dict[str, list[float]]:
            found = compare("digits", ["random"], encoder="own.onnx", seeds=2, until_task=2, **QUICK, **options)
            return {row["name"]: row["average_accuracy"]["values"] for row in found.document["rows"]}

        return run

    def test_shares_one_encoder_and_its_embeddings(self, place: Path, embedded: list[int]) -> None:
        done: list[tuple[int, int]] = []
        found = self.rows(jobs=1, encoding=lambda *told: done.append(told))()
        total = sum(len(load_data("digits", split=s).select(list("0123"))) for s in ("train", "test"))
        assert sum(count for count in embedded if count > 6) == total and done[-1] == (total, total)
        assert [path.name for path in place.iterdir()] == ["own.onnx"]
        single = [begin(method="random", seed=seed, force=True).metrics["average_accuracy"] for seed in (0, 1)]
        assert found["random"] == single

    def test_kept_runs_are_those_behind_the_same_encoder(self, place: Path, embedded: list[int]) -> None:
        first = self.rows(output="table", jobs=1)()
        embedded.clear()
        assert self.rows(output="table", jobs=1, resume=True)() == first
        assert max(embedded, default=0) <= 6
        Path("own.onnx").write_bytes(encoder_model(24, seed=1).SerializeToString())
        assert self.rows(output="table", jobs=1, resume=True)() != first

    @pytest.mark.slow
    def test_side_by_side(self, place: Path) -> None:
        arguments = ["compare", "digits", "--methods", "random", "--encoder", "own.onnx", "--seeds", 1]
        result = call(*arguments, "--hidden", 40, "--epochs", 1, "--until-task", 2, "--jobs", 2, "-o", "table")
        assert result.exit_code == 0, result.stderr
        assert len(list(Path("table", CACHE).rglob("*.npy"))) == 8


def test_pruned_run_keeps_the_encoder(place: Path) -> None:
    run = begin(method="random")
    pruned = prune(run, PruneOptions(density=0.2))
    pruned.save("runs/pruned")
    assert Run.load("runs/pruned").encoder == run.encoder
    assert dataclasses.replace(pruned, path=None).encoder == run.encoder
