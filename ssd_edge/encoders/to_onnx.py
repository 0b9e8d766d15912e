"""A frozen torch module as an encoder: turned into ONNX once, when a run begins."""

from __future__ import annotations

import io
import warnings

import torch
from torch import nn

from ssd_edge_runtime.encoder import Encoder, import_encoder
from ssd_edge_runtime.onnx.model_proto import OPSET


def encoder_of(module: nn.Module, input_shape: tuple[int, ...], name: str) -> Encoder:
    """``module``, float32 (N, *input_shape) to (N, width), as an encoder called ``name``."""
    return import_encoder(onnx_of(module, input_shape), name)


def onnx_of(module: nn.Module, input_shape: tuple[int, ...]) -> bytes:
    """The ONNX model of ``module`` in inference mode, batch size free, batch normalization folded.

    The tracing exporter is used: torch's newer one needs onnxscript, and neither keeps what the other drops.
    """
    stream = io.BytesIO()
    free = {"input": {0: "batch"}, "embedding": {0: "batch"}}
    with warnings.catch_warnings():
        # That it is no longer the default, and that shapes are constants in a trace, which here they are.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.zeros(2, *input_shape),),
            stream,  # type: ignore[arg-type]  # only the other exporter insists on a path
            dynamo=False,
            opset_version=OPSET,
            input_names=["input"],
            output_names=["embedding"],
            dynamic_axes=free,
        )
    return stream.getvalue()
