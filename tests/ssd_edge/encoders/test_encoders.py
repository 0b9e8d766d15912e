"""Torchvision models and ONNX files as encoders: preprocessing inside, weights checked."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from ssd_edge import train
from ssd_edge.data import Dataset, load_data
from ssd_edge.encoders import Embeddings, make_encoder
from ssd_edge.encoders.preprocess import Preprocess, Preset
from ssd_edge.encoders.state_dicts import load_weights, read_weights
from ssd_edge.encoders.to_onnx import encoder_of, onnx_of
from ssd_edge.encoders.torchvision import torchvision_encoder
from ssd_edge_export import ExportOptions, export_model
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.encoder import Encoder, EncoderSession
from ssd_edge_runtime.errors import DataError, EdgeModelError, MissingExtraError, OptionError

NAME = "mnasnet0_5"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict of random weights, with the statistics of batch normalization drawn too."""
    torch.manual_seed(0)
    state = models.get_model(NAME, weights=None).state_dict()
    for name, tensor in state.items():
        if name.endswith("running_mean"):
            tensor.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(state, path)
    return path


class Conv(torch.nn.Sequential):
    def __init__(self, channels: int = 1) -> None:
        torch.manual_seed(0)
        layers = torch.nn.Conv2d(channels, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AvgPool2d(2)
        super().__init__(*layers, torch.nn.Flatten())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 20, 12), (1, 40, 50)])
@pytest.mark.parametrize("model", [NAME, "vit_b_16", "efficientnet_b0"])
def test_preprocessing_is_that_of_the_weights(shape: tuple[int, ...], model: str) -> None:
    usual = models.get_model_weights(model).DEFAULT.transforms()
    x = torch.rand(2, *shape, generator=torch.Generator().manual_seed(1))
    preset = Preset(usual.resize_size[0], usual.crop_size[0], usual.mean, usual.std, usual.interpolation.value)
    expected = usual(x.expand(-1, 3, -1, -1))
    torch.testing.assert_close(Preprocess(shape, preset, model)(x), expected, atol=2e-5, rtol=0)


def test_torchvision_model_becomes_an_encoder(weights: Path) -> None:
    encoder = make_encoder(NAME, (1, 12, 12), weights=weights, size=32)
    assert (encoder.name, encoder.input_shape, encoder.width) == (NAME, (1, 12, 12), 1280)
    whole = models.get_model(NAME, weights=None)
    whole.load_state_dict(torch.load(weights, weights_only=True))
    x = torch.rand(3, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    seen: list[torch.Tensor] = []
    whole.classifier[-1].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    preprocess = torchvision_encoder(NAME, (1, 12, 12), weights, 32).preprocess
    with torch.no_grad():
        whole.eval()(preprocess(x))
    found = EncoderSession(encoder).embed(x.numpy())
    np.testing.assert_allclose(found, seen[0].numpy(), rtol=1e-3, atol=1e-4 * float(seen[0].abs().max()))
    assert make_encoder(NAME, (1, 12, 12), weights=weights, size=32) == encoder


def test_classifier_of_another_number_of_classes_does_not_matter(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    state["classifier.1.weight"], state["classifier.1.bias"] = torch.zeros(3, 1280), torch.zeros(3)
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, tmp_path / "tuned.safetensors")
    torch.save({"model": state, "epoch": torch.tensor(3)}, tmp_path / "checkpoint.pth")
    encoder = make_encoder(NAME, (3, 32, 32), weights=weights, size=32)
    for name in ("tuned.safetensors", "checkpoint.pth"):
        assert make_encoder(NAME, (3, 32, 32), weights=tmp_path / name, size=32) == encoder


@pytest.mark.parametrize(
    "name",
    [
        "_orig_mod.{}",  # torch.compile
        "_orig_mod.module.{}",
        "model.{}",  # Lightning
        "net._orig_mod.encoder.{}",
        "_fsdp_wrapped_module.backbone.{}",
    ],
)
def test_prefixes_of_wrappers_and_of_larger_modules_are_taken_off(name: str, tmp_path: Path) -> None:
    module, other = (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2))
    given = {name.format(key): tensor for key, tensor in other.state_dict().items()}
    beside = {} if name.startswith("_orig_mod") else {"criterion.weight": torch.ones(9)}
    torch.save({**beside, **given}, tmp_path / "w.pt")
    load_weights(module, read_weights(tmp_path / "w.pt"), (), "w.pt")
    assert torch.equal(module[0].weight, other[0].weight) and torch.equal(module[1].bias, other[1].bias)


def test_two_sets_of_weights_in_one_file_are_refused() -> None:
    module = nn.Linear(2, 3)
    given = {f"{part}.{key}": tensor for part in ("model", "ema") for key, tensor in module.state_dict().items()}
    with pytest.raises(DataError, match=r"w.pt: weights under the prefixes model\., ema\.: save one of them"):
        load_weights(module, given, (), "w.pt")


def test_weights_that_do_not_match(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    del state["layers.0.weight"]
    state["layers.1.bias"] = torch.zeros(5)
    state["other"] = torch.zeros(2)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(DataError) as caught:
        make_encoder(NAME, (3, 32, 32), weights=tmp_path / "w.pt", size=32)
    assert str(caught.value) == (
        f"{tmp_path / 'w.pt'} does not fit {NAME}: missing: layers.0.weight; unknown: other; "
        "of another shape: layers.1.bias is 5, not 16"
    )


def test_old_names_of_densenet() -> None:
    module = torch.nn.Sequential()
    layer = torch.nn.Sequential()
    layer.add_module("norm1", torch.nn.BatchNorm2d(2))
    module.add_module("denselayer12", layer)
    old = {f"denselayer12.norm.1.{name}": torch.full((2,), 3.0) for name in ("weight", "bias", "running_mean")}
    load_weights(module, {**old, "denselayer12.norm.1.running_var": torch.full((2,), 3.0)}, (), "old")
    assert all(bool((t == 3).all()) for name, t in module.state_dict().items() if "num" not in name)


def test_files_that_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "noise.pt").write_bytes(b"noise")
    (tmp_path / "noise.safetensors").write_bytes(b"noise")
    torch.save({"network": torch.nn.Linear(2, 2)}, tmp_path / "whole.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("noise.pt", "noise.safetensors", "whole.pt", "list.pt"):
        with pytest.raises(DataError, match=r"save model\.state_dict"):
            make_encoder(NAME, (3, 32, 32), weights=tmp_path / name)
    with pytest.raises(FileNotFoundError):
        make_encoder(NAME, (3, 32, 32), weights=tmp_path / "none.pt")


def test_download(monkeypatch: pytest.MonkeyPatch, weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def answer(url: str, **options: object) -> object:
        asked.append((url, options["check_hash"]))
        print("Downloading")
        return torch.load(weights, weights_only=True)

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", answer)
    encoder = make_encoder(NAME, (3, 32, 32), size=32)
    assert encoder == make_encoder(NAME, (3, 32, 32), weights=weights, size=32)
    assert asked == [(models.get_model_weights(NAME).DEFAULT.url, True)]
    assert capsys.readouterr().out == ""


def test_download_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, **options: object) -> None:
        raise URLError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(
        DataError, match=r"cannot be downloaded from https://.*no route.*--encoder-weights"
    ) as caught:
        make_encoder(NAME, (3, 32, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("resnt18", (3, 8, 8), "'resnt18' is neither a file nor a model of torchvision; did you mean resnet18 or"),
        ("???", (3, 8, 8), "is neither a file nor a model of torchvision; there are alexnet, "),
        (
            NAME,
            (2, 8, 8),
            f"{NAME} takes images, 1 or 3 channels x height x width; the data set's samples are 2 x 8",
        ),
        (NAME, (64,), f"{NAME} takes images, .* the data set's samples are 64"),
        ("squeezenet1_1", (3, 8, 8), "has no last linear layer to take off"),
    ],
)
def test_encoders_that_cannot_be(name: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_encoder(name, shape)


def test_names_need_torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingExtraError, match=r"an encoder by name needs the \[train\] extra: pip install"):
        make_encoder(NAME, (3, 8, 8))


def test_size_that_the_model_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssd_edge.encoders.torchvision.read_weights", lambda path: {})
    monkeypatch.setattr("ssd_edge.encoders.torchvision.load_weights", lambda *arguments: None)
    with pytest.raises(OptionError, match=r"alexnet does not take 16 x 16 pixels \(.*[Oo]utput size.*\)"):
        torchvision_encoder("alexnet", (3, 8, 8), "any.pt", 16)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.onnx"
    path.write_bytes(onnx_of(Conv(), (1, 8, 8)))
    return path


def test_own_onnx_file(own: Path) -> None:
    encoder = make_encoder(str(own), (1, 8, 8))
    assert (encoder.name, encoder.input_shape, encoder.width) == ("own", (1, 8, 8), 64)
    x = torch.rand(2, 1, 8, 8)
    with torch.no_grad():
        np.testing.assert_allclose(EncoderSession(encoder).embed(x.numpy()), Conv()(x).numpy(), atol=1e-6)


def test_options_of_models_do_not_go_with_files(own: Path) -> None:
    with pytest.raises(OptionError, match=r"encoder-size goes with a model of torchvision; .*own.onnx is a file"):
        make_encoder(str(own), (1, 8, 8), size=3)
    with pytest.raises(FileNotFoundError):
        make_encoder("none.onnx", (1, 8, 8))
    own.write_bytes(b"noise")
    with pytest.raises(EdgeModelError, match=r"own\.onnx: not an ONNX model"):
        make_encoder(str(own), (1, 8, 8))


def samples(count: int = 40) -> Dataset:
    rng = np.random.default_rng(0)
    return Dataset(rng.random((count, 1, 8, 8), np.float32), np.arange(count) % 4, ("a", "b", "c", "d"))


@pytest.mark.slow
def test_resnet_from_training_to_one_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "resnet18.pth")
    options = {"encoder": "resnet18", "encoder_weights": str(tmp_path / "resnet18.pth"), "encoder_size": 64}
    run = train(
        "digits", method="random", until_task=1, hidden=(100,), output=tmp_path / "run", device="cpu", **options
    )
    assert run.encoder is not None and run.encoder.width == 512
    model = EdgeModel.load(export_model(run, tmp_path / "model.onnx", ExportOptions(values="float32")))
    raw, body = load_data("digits", split="test").select(["0", "1"]), models.resnet18(weights=None)
    body.load_state_dict(torch.load(tmp_path / "resnet18.pth", weights_only=True))
    body.fc = torch.nn.Identity()
    preset = Preset(64, 64, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    with torch.no_grad():
        x = Preprocess((1, 8, 8), preset, "resnet18")(torch.from_numpy(raw.x))
        expected = run.network(body.eval()(x)).numpy()
    np.testing.assert_allclose(model.logits(raw.x), expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


class TestEmbeddings:
    @pytest.fixture
    def encoder(self) -> Encoder:
        return encoder_of(Conv(), (1, 8, 8), "conv")

    def test_are_the_encoders(self, encoder: Encoder) -> None:
        data, counted = samples(), [(0, 0)]
        found = Embeddings(encoder).of(data, lambda *progress: counted.append(progress))
        np.testing.assert_allclose(found.x, EncoderSession(encoder).embed(data.x), atol=1e-6)
        assert (found.classes, found.y.tolist()) == (data.classes, data.y.tolist())
        assert counted[-1] == (len(data), len(data))

    def test_computed_once_whatever_the_split(
        self, encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = samples()
        first = Embeddings(encoder, tmp_path / "cache").of(data)
        assert len(list((tmp_path / "cache").rglob("*.npy"))) == 4
        monkeypatch.setattr(EncoderSession, "embed", lambda self, x: pytest.fail("computed again"))
        again = Embeddings(encoder, tmp_path / "cache")
        np.testing.assert_array_equal(again.of(data.select(["c", "a"])).x, first.select(["c", "a"]).x)
        np.testing.assert_array_equal(again.of(data).x, first.x)

    def test_another_encoder_or_other_samples_are_computed(self, encoder: Encoder, tmp_path: Path) -> None:
        Embeddings(encoder, tmp_path).of(samples())
        with torch.no_grad():
            changed = Conv()
            changed[0].weight.mul_(2.0)
        other = encoder_of(changed, (1, 8, 8), "conv")
        np.testing.assert_allclose(
            Embeddings(other, tmp_path).of(samples()).x, EncoderSession(other).embed(samples().x), atol=1e-6
        )
        more = samples()
        more.x[0] += 0.5
        found = Embeddings(encoder, tmp_path).of(more)
        np.testing.assert_allclose(found.x, EncoderSession(encoder).embed(more.x), atol=1e-6)

    def test_damaged_file_is_computed_again(self, encoder: Encoder, tmp_path: Path) -> None:
        first = Embeddings(encoder, tmp_path).of(samples())
        kept = sorted(tmp_path.rglob("*.npy"))
        kept[0].write_bytes(kept[0].read_bytes()[:100])
        kept[1].write_bytes(b"noise")
        kept[2].write_bytes(b"")
        np.testing.assert_array_equal(Embeddings(encoder, tmp_path).of(samples()).x, first.x)

    def test_samples_of_another_shape(self, encoder: Encoder) -> None:
        data = samples()
        wrong = Dataset(data.x.reshape(-1, 64), data.y, data.classes)
        with pytest.raises(DataError, match="encoder conv takes samples of 1 x 8 x 8, the data set's are 64"):
            Embeddings(encoder).of(wrong)
