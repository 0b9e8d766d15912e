"""``--encoder``: a torchvision model's name or the path of an ONNX encoder."""

from __future__ import annotations

from pathlib import Path

from ssd_edge.encoders.to_onnx import encoder_of
from ssd_edge.encoders.torchvision import torchvision_encoder, usual_size
from ssd_edge_runtime.encoder import Encoder, import_encoder
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.input_facts import is_image


def make_encoder(
    encoder: str | Path,
    input_shape: tuple[int, ...],
    *,
    weights: str | Path | None = None,
    size: int | None = None,
) -> Encoder:
    """The frozen encoder for raw samples of ``input_shape``.

    ``encoder``: path of an ONNX file, or a model of torchvision, whose default weights are downloaded unless
    ``weights`` is a file with its state dict; ``size``: side of the square its images are resized to.

    An ONNX encoder brings its own input shape; whether it fits is checked where samples meet it. Raises
    OptionError, DataError, EdgeModelError, OSError.
    """
    if is_file(encoder):
        for option, value in (("encoder-weights", weights), ("encoder-size", size)):
            OptionError.unless(value is None, f"{option} goes with a model of torchvision; {encoder} is a file")
        return import_encoder(encoder)
    module = torchvision_encoder(str(encoder), input_shape, weights, size)
    return encoder_of(module, input_shape, str(encoder))


def picture_size(encoder: str | Path, size: int | None = None) -> int | tuple[int, int]:
    """The pictures that an encoder looks at: the side of a square, or height and width where it takes no other.

    ``size``: as ``make_encoder`` has it. Raises as that does, and OptionError where it takes no pictures.
    """
    if not is_file(encoder):
        return size or usual_size(str(encoder))
    shape = import_encoder(encoder).input_shape
    OptionError.unless(
        is_image(shape), f"encoder {encoder} takes samples of {' x '.join(map(str, shape))}, not pictures"
    )
    return shape[1], shape[2]


def is_file(encoder: str | Path) -> bool:
    """Whether ``encoder`` names a file rather than a model."""
    return isinstance(encoder, Path) or encoder.endswith(".onnx") or Path(encoder).is_file()
