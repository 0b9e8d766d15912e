"""A torchvision model as a frozen encoder: preprocessing in front, classifier taken off."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssd_edge.encoders.preprocess import Preprocess, Preset
from ssd_edge.encoders.state_dicts import download_weights, load_weights, read_weights
from ssd_edge_runtime.errors import DataError, MissingExtraError, OptionError

AUXILIARY = ("aux1", "aux2", "AuxLogits")
"""Heads that only training uses."""
SPECIAL: dict[str, dict[str, Any]] = {
    name: {"aux_logits": False, "transform_input": True, "init_weights": False}
    for name in ("googlenet", "inception_v3")
}
"""What torchvision itself passes to these when it loads their weights."""


class TorchvisionEncoder(nn.Module):
    """Raw samples float32 (N, *input_shape) to the input of the model's last linear layer, float32 (N, width)."""

    def __init__(self, preprocess: Preprocess, body: nn.Module) -> None:
        super().__init__()
        self.preprocess = preprocess
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings."""
        embedding: Tensor = self.body(self.preprocess(x))
        return embedding


def torchvision_encoder(
    name: str, input_shape: tuple[int, ...], weights: str | Path | None = None, size: int | None = None
) -> TorchvisionEncoder:
    """The torchvision model ``name``, frozen, for raw samples of ``input_shape``, images in 0..1.

    ``weights``: file with its state dict; None downloads torchvision's default weights. ``size``: images are
    resized to a square of that side; None does what the weights expect.

    Raises OptionError for an unknown name, samples that are no images and a size the model does not take;
    DataError for weights that do not match or cannot be had.
    """
    models = _models()
    check_name(name, models.list_models(module=models))
    default = models.get_model_weights(name).DEFAULT
    preprocess = Preprocess(input_shape, preset_of(default, size), name)
    body = models.get_model(name, weights=None, **SPECIAL.get(name, {}))
    dropped = (drop_classifier(body, name), *AUXILIARY)
    if weights is None:
        state, source = download_weights(name, default), f"the downloaded weights do not fit {name}"
    else:
        state, source = read_weights(Path(weights)), f"{weights} does not fit {name}"
    load_weights(body, state, dropped, source)
    encoder = TorchvisionEncoder(preprocess, body).eval().requires_grad_(False)
    check_size(encoder, input_shape, name)
    return encoder


def _models() -> Any:
    try:
        from torchvision import models
    except ImportError as error:
        raise MissingExtraError("an encoder by name") from error
    return models


def check_name(name: str, known: list[str]) -> None:
    """Raise OptionError for a name that torchvision does not know, with the nearest ones."""
    if name in known:
        return
    near = difflib.get_close_matches(name.lower(), known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:3])}, ..."
    raise OptionError(f"encoder {name!r} is neither a file nor a model of torchvision; {hint}")


def usual_size(name: str) -> int:
    """The shorter side of the images that the model's default weights expect, before their middle is kept."""
    models = _models()
    check_name(name, models.list_models(module=models))
    return preset_of(models.get_model_weights(name).DEFAULT, None).resize


def preset_of(weights: Any, size: int | None) -> Preset:
    """What ``weights`` expect, or the same with images of ``size`` x ``size`` pixels."""
    usual = weights.transforms()
    crop, resize = usual.crop_size[0], usual.resize_size[0]
    if size is not None:
        crop = resize = size
    return Preset(resize, crop, usual.mean, usual.std, usual.interpolation.value)


def drop_classifier(body: nn.Module, name: str) -> str:
    """Replace the last linear layer by nothing, in place; returns its name."""
    linear = [place for place, layer in body.named_modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise OptionError(f"encoder {name} has no last linear layer to take off: choose another model")
    parent, _, child = linear[-1].rpartition(".")
    setattr(body.get_submodule(parent), child, nn.Identity())
    return str(linear[-1])


@torch.no_grad()
def check_size(encoder: TorchvisionEncoder, input_shape: tuple[int, ...], name: str) -> None:
    """Raise OptionError where the model cannot compute on images of the size chosen."""
    side = len(encoder.preprocess.rows)
    try:
        embedding = encoder(torch.zeros(1, *input_shape))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise OptionError(f"encoder {name} does not take {side} x {side} pixels ({reason})") from error
    if embedding.ndim != 2 or embedding.shape[1] < 2:
        raise DataError(f"encoder {name} gives {tuple(embedding.shape[1:])} per sample, not one vector")
