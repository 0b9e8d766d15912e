"""The encoder that the command ``encoder`` trains: what it computes, what it learns, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call, refused
from torch.nn import functional

from ssd_edge import train_encoder
from ssd_edge.data import Dataset, load_data
from ssd_edge.encoders.augment import mirrored, moved, turn
from ssd_edge.encoders.small import SmallEncoder
from ssd_edge.encoders.to_onnx import encoder_of
from ssd_edge.encoders.train import EncoderOptions, fit_encoder
from ssd_edge.training import EncoderConfig
from ssd_edge_runtime.encoder import EncoderSession, import_encoder
from ssd_edge_runtime.errors import OptionError

QUICK = {"width": 64, "epochs": 2, "device": "cpu"}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 9, 14), (1, 5, 5), (2, 40), (24,), (1, 1, 7)])
def test_embeddings_and_their_onnx_form(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = SmallEncoder(shape, 112 if shape == (1, 1, 7) else 64).eval()
    x = torch.rand(5, *shape, generator=generator())
    with torch.no_grad():
        expected = network(x)
        features = network.features(x)
        grid = len(network.rows), network.columns.shape[1]
        pooled = functional.adaptive_avg_pool2d(features, grid)
    assert expected.shape == (5, 112 if shape == (1, 1, 7) else 64)
    torch.testing.assert_close(expected, pooled.sqrt().flatten(1), atol=1e-6, rtol=1e-5)
    encoder = encoder_of(network, shape, "small")
    np.testing.assert_allclose(EncoderSession(encoder).embed(x.numpy()), expected.numpy(), atol=2e-4)


def test_it_learns_from_the_base_classes_alone() -> None:
    found = train_encoder("digits", until_task=2, hold_out=0.2, seed=1, width=128, epochs=10, batch_size=16)
    report = found.report
    assert report["classes"] == ["0", "1", "2", "3"] and report["out"] is None
    assert report["samples"] + round(0.2 * report["samples"] / 0.8) == pytest.approx(
        len(load_data("digits").select(report["classes"])), abs=2
    )
    assert report["hold_out_accuracy"] > 0.8 and 0.4 < report["training_accuracy"] < 1.0
    assert found.encoder.width == report["width"] == 128 and found.encoder.digest == report["digest"]


def test_seeds_and_options_reach_it() -> None:
    def digest(**options: object) -> str:
        return train_encoder("digits", until_task=1, **{**QUICK, "epochs": 1, **options}).encoder.digest

    first = digest()
    assert digest() == first
    for options in (
        {"seed": 1},
        {"turns": False},
        {"mirror": False},
        {"shift": 0.3},
        {"lr": 0.01},
        {"batch_size": 32},
    ):
        assert digest(**options) != first, options


def test_small_data_get_more_passes() -> None:
    assert EncoderOptions().passes(24_000) == 7 and EncoderOptions().passes(500) == 400
    assert EncoderOptions().passes(10**6) == 6 and EncoderOptions(epochs=2).passes(500) == 2


def test_the_global_seed_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train_encoder("digits", until_task=1, **{**QUICK, "epochs": 1})
    assert torch.equal(torch.rand(1), expected)


def test_few_samples_and_no_turns() -> None:
    data = Dataset(np.random.default_rng(0).random((6, 1, 4, 4), np.float32), np.arange(6) % 2, ("a", "b"))
    options = EncoderOptions(width=32, epochs=1, turns=False, shift=0.0)
    trained = fit_encoder(data, options, data, device=torch.device("cpu"))
    assert trained.encoder.width == 32 and trained.held is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 100}, "width must be a multiple of 16 here, at least 32, got 100"),
        ({"width": 16}, "width must be a multiple of 16 here, at least 32, got 16"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"lr": 0.0}, "lr must be positive, got 0.0"),
        ({"shift": 0.7}, "shift must be between 0 and 0.5, got 0.7"),
        ({"seed": -1}, "seed must not be negative, got -1"),
        ({"until_task": 6}, "until-task must be at most 5, got 6"),
    ],
)
def test_options_that_break_a_rule(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        train_encoder("digits", **options)


def test_options_win_over_a_configuration() -> None:
    config = EncoderConfig(until_task=1, **{**QUICK, "epochs": 1, "seed": 4})
    options = {**QUICK, "epochs": 1, "seed": 5}
    assert (
        train_encoder("digits", config, seed=5).encoder == train_encoder("digits", until_task=1, **options).encoder
    )
    with pytest.raises(OptionError, match="device must be one of auto, cpu, cuda, got 'gpu'"):
        EncoderConfig(device="gpu")


def test_samples_of_four_dimensions() -> None:
    data = Dataset(np.zeros((4, 1, 2, 2, 2), np.float32), np.arange(4) % 2, ("a", "b"))
    with pytest.raises(OptionError, match="on images or windows of signals, not on samples of 1 x 2 x 2 x 2"):
        train_encoder(data, tasks=1)


class TestCommand:
    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

    def test_writes_an_ordinary_onnx_file(self) -> None:
        arguments = ["encoder", "digits", "--until-task", 1, "--width", 64, "--epochs", 1]
        result = call(*arguments, "--hold-out", 0.1)
        assert result.exit_code == 0, result.stderr
        lines = result.stdout.splitlines()
        encoder = import_encoder("encoder.onnx")
        assert lines[0] == f"1 x 8 x 8 -> 64, {Path('encoder.onnx').stat().st_size} bytes, from 259 samples"
        assert lines[1] == "classes: 0, 1" and lines[-1].endswith("wrote encoder.onnx")
        assert lines[2].startswith("training accuracy") and lines[3].startswith("hold-out accuracy")
        report = json.loads(call(*arguments, "--force", "--json").stdout)
        assert report["hold_out_accuracy"] is None and report["digest"] != encoder.digest
        assert import_encoder("encoder.onnx").digest == report["digest"]

    def test_existing_file_and_missing_folder(self) -> None:
        Path("encoder.onnx").write_bytes(b"kept")
        assert refused("encoder", "digits") == "encoder.onnx: exists already; replace it with --force"
        assert refused("encoder", "digits", "-o", "none/e.onnx") == "none: no such folder"
        assert refused("encoder", "digits", "-o", ".") == ".: is a folder"
        assert refused("encoder", "none.npz", "--force").startswith("none.npz: no such file or folder")
        assert Path("encoder.onnx").read_bytes() == b"kept"


class TestChanges:
    def test_each_image_moves_by_its_own_pixels(self) -> None:
        images = torch.rand(40, 2, 10, 6, generator=generator()) + 0.1
        found = moved(images, 0.2, generator())
        offsets = set()
        for before, after in zip(images, found, strict=True):
            match = [
                (r, c) for r in range(-2, 3) for c in range(-1, 2) if torch.equal(after, shifted(before, r, c))
            ]
            assert len(match) == 1
            offsets.add(match[0])
        assert len(offsets) > 8
        assert torch.equal(moved(images, 0.0, generator()), images)

    def test_about_half_are_mirrored(self) -> None:
        images = torch.rand(60, 1, 3, 4, generator=generator())
        found = mirrored(images, generator())
        same = [torch.equal(a, b) for a, b in zip(images, found, strict=True)]
        flipped = [torch.equal(a.flip(2), b) for a, b in zip(images, found, strict=True)]
        assert all(a != b for a, b in zip(same, flipped, strict=True)) and 15 < sum(same) < 45

    def test_windows_are_turned_by_reversing_them(self) -> None:
        windows = torch.rand(20, 3, 1, 8, generator=generator())
        found, number = turn(windows, 2, generator())
        for before, after, turned in zip(windows, found, number, strict=True):
            assert torch.equal(after, before.flip(2) if turned else before)
        assert 0 < number.sum() < 20


def shifted(image: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """(channels, height, width) moved up and left, zeros coming in."""
    padded = functional.pad(image, (2, 2, 2, 2))
    return padded[:, 2 + rows : 2 + rows + image.shape[1], 2 + columns : 2 + columns + image.shape[2]]
