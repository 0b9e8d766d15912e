"""Small ONNX encoders for tests: a convolution, a rectifier and a projection."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from ssd_edge_runtime.encoder import Encoder, import_encoder
from ssd_edge_runtime.state import ModelState

SHAPE = (1, 8, 8)


def encoder_model(
    width: int = 20, shape: tuple[int, ...] = SHAPE, opset: int = 18, batch: int | str = "n", seed: int = 0
) -> Any:
    """A ``ModelProto`` from images (batch, *shape) to embeddings (batch, width)."""
    rng = np.random.default_rng(seed)
    kernel = rng.standard_normal((4, shape[0], 3, 3)).astype(np.float32)
    inner = 4 * ((shape[1] + 1) // 2) * ((shape[2] + 1) // 2)
    projection = rng.standard_normal((inner, width)).astype(np.float32) / np.sqrt(inner, dtype=np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "kernel"], ["c"], name="first", strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["output"]),
        helper.make_node("Flatten", ["output"], ["f"], axis=1),
        helper.make_node("MatMul", ["f", "projection"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, width])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(projection, "projection")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model.producer_name = "somebody"
    return model


@cache
def tiny_encoder(width: int = 20, seed: int = 0) -> Encoder:
    """The same in normal form."""
    return import_encoder(encoder_model(width, seed=seed).SerializeToString(), name="tiny")


def behind(encoder: Encoder, state: ModelState) -> ModelState:
    """``state`` behind ``encoder``."""
    return dataclasses.replace(state, encoder=encoder, input_shape=encoder.input_shape)


def images(seed: int, count: int, classes: int = 3) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """float32 (count, 1, 8, 8) in 0..1, one bright square per class in noise, and labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    x = 0.3 * rng.random((count, *SHAPE))
    for number, label in enumerate(y):
        row, column = divmod(int(label), 3)
        x[number, 0, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += 0.7
    return x.clip(0, 1).astype(np.float32), y.astype(np.int64)
