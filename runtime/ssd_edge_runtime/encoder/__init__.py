"""A frozen ONNX network in front: its parts checked, converted, run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder.convert import import_encoder
    from ssd_edge_runtime.encoder.encoder import Encoder, EncoderShape
    from ssd_edge_runtime.encoder.session import EncoderSession

__all__ = ["Encoder", "EncoderSession", "EncoderShape", "import_encoder"]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "convert": ("import_encoder",),
        "encoder": ("Encoder", "EncoderShape"),
        "session": ("EncoderSession",),
    },
)
