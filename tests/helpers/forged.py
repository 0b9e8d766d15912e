"""Files altered as an attacker would: edited anywhere, their digests made to match."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

Model = Any
"""A ``ModelProto``."""
DIGEST = b"ssd_edge.digest\x12@"


def seal(data: bytes) -> bytes:
    """Make the digest match, where there still is one."""
    at = data.rfind(DIGEST) + len(DIGEST)
    if at < len(DIGEST) or len(data) < at + 64:
        return data
    digest = hashlib.sha256(data[:at] + b"0" * 64 + data[at + 64 :]).hexdigest().encode()
    return data[:at] + digest + data[at + 64 :]


def refuse(data: bytes, message: str) -> None:
    """Loading ``data`` must fail, and say so."""
    with pytest.raises(EdgeModelError, match=message):
        model_file.from_bytes(data)


def edited(state: ModelState, edit: Callable[[Model], Any]) -> bytes:
    """The file of ``state`` after ``edit`` of its ModelProto, digest made to match."""
    model = onnx.load_from_string(model_file.to_bytes(state))
    edit(model)
    return seal(model.SerializeToString(deterministic=True))


def edited_manifest(state: ModelState, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file of ``state`` after a change of its manifest."""

    def edit(model: Model) -> None:
        document = json.loads(model.metadata_props[1].value)
        change(document)
        model.metadata_props[1].value = json.dumps(document)

    return edited(state, edit)


def tensor(model: Model, name: str) -> Any:
    """An initializer, of the graph or of the learning state."""
    graphs = [model.graph, *(info.algorithm for info in model.training_info)]
    return next(t for graph in graphs for t in graph.initializer if t.name == name)


def set_element(name: str, at: Any, value: Any) -> Callable[[Model], None]:
    """An edit that changes one element of an initializer, in place."""

    def edit(model: Model) -> None:
        found = tensor(model, name)
        array = numpy_helper.to_array(found).copy()
        array[at] = value
        found.raw_data = array.tobytes()

    return edit


def match_encoder_digest(model: Model) -> None:
    """Make the digest of the encoder match, too."""
    document = json.loads(model.metadata_props[1].value)
    nodes, tensors = document["encoder"]["nodes"], document["encoder"]["initializers"]
    part = onnx.GraphProto(node=model.graph.node[:nodes], initializer=model.graph.initializer[:tensors])
    document["encoder"]["digest"] = hashlib.sha256(part.SerializeToString(deterministic=True)).hexdigest()
    model.metadata_props[1].value = json.dumps(document)
