"""Files with an encoder: the bytes come back as they were, and the manifest tells the truth about it."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from encoders import behind, tiny_encoder
from forged import edited_manifest, refuse, seal

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


@pytest.fixture
def state(make_state: MakeState) -> ModelState:
    return behind(tiny_encoder(), make_state(input_shape=(20,), teacher=True))


@pytest.mark.parametrize("case", [{}, {"readout": "analytic"}, {"values": "int8", "hidden": (25, 12)}])
@pytest.mark.parametrize("learning_state", [True, False])
def test_round_trip(make_state: MakeState, case: dict[str, Any], learning_state: bool) -> None:
    state = behind(tiny_encoder(), make_state(input_shape=(20,), **case))
    data = model_file.to_bytes(state, learning_state=learning_state)
    loaded = model_file.from_bytes(data)
    assert loaded.encoder == state.encoder and loaded.encoder is not None
    assert (loaded.input_shape, loaded.input_width, loaded.sample_width) == ((1, 8, 8), 20, 64)
    assert model_file.to_bytes(loaded, learning_state=learning_state) == data
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    described = model_file.describe(data)["encoder"]
    assert described == {
        "name": "tiny",
        "width": 20,
        "nodes": 4,
        "initializers": 2,
        "digest": loaded.encoder.digest,
        "bytes": loaded.encoder.nbytes,
    }


def test_the_head_is_the_model_behind_it(make_state: MakeState) -> None:
    bare = make_state(input_shape=(20,), teacher=True)
    assert model_file.to_bytes(behind(tiny_encoder(), bare).head) == model_file.to_bytes(bare)
    assert bare.head is bare


def test_the_digest_is_over_the_fields_as_they_stand_in_the_file(state: ModelState) -> None:
    assert state.encoder is not None
    model = onnx.load_from_string(model_file.to_bytes(state))
    part = onnx.GraphProto(node=model.graph.node[:4], initializer=model.graph.initializer[:2])
    digest = hashlib.sha256(part.SerializeToString(deterministic=True)).hexdigest()
    assert state.encoder.digest == digest == json.loads(model.metadata_props[1].value)["encoder"]["digest"]


def test_a_file_without_encoder_imports_nothing_for_one(make_state: MakeState, tmp_path: Path) -> None:
    paths = [tmp_path / "bare.onnx", tmp_path / "encoded.onnx"]
    bare = make_state(input_shape=(20,))
    for path, each in zip(paths, (bare, behind(tiny_encoder(), bare)), strict=True):
        path.write_bytes(model_file.to_bytes(each))
    told = "import sys\nfrom ssd_edge_runtime import EdgeModel\nEdgeModel.load(sys.argv[1])\n"
    told += "print(*(name in sys.modules for name in ('ssd_edge_runtime.encoder.encoder', 'onnx', 'onnxruntime')))"
    found = [subprocess.check_output([sys.executable, "-c", told, path], text=True).split() for path in paths]
    assert found == [["False", "False", "False"], ["True", "False", "False"]]


def test_another_encoder_than_the_one_named(state: ModelState) -> None:
    data = model_file.to_bytes(state)
    at = data.index(b"encoder.kernel\x4a") + 40
    altered = seal(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    with pytest.raises(EdgeModelError, match="not the one whose digest the manifest names"):
        model_file.from_bytes(altered)
    with pytest.raises(EdgeModelError, match="not the one whose digest the manifest names"):
        model_file.from_bytes(altered, verify=False)


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda d: d["encoder"].update(more=1), "encoder holds 'more', which is not understood"),
    "missing key": (lambda d: d["encoder"].pop("width"), "encoder lacks 'width'"),
    "not an object": (lambda d: d.update(encoder=[]), "encoder must be an object"),
    "null": (lambda d: d.update(encoder=None), "encoder must be an object"),
    "left out": (lambda d: d.pop("encoder"), "hidden1 takes 20 inputs, gets 64"),
    "width": (lambda d: d["encoder"].update(width=21), "hidden1 takes 20 inputs, gets 21"),
    "no nodes": (lambda d: d["encoder"].update(nodes=0), "nodes must be an integer from 1 to"),
    "a node less": (lambda d: d["encoder"].update(nodes=3), "does not make encoder.output"),
    "a node more": (lambda d: d["encoder"].update(nodes=5), "names begin with encoder., not 'input.flat'"),
    "all nodes": (lambda d: d["encoder"].update(nodes=10_000), "uses|names begin with|field"),
    "an initializer less": (lambda d: d["encoder"].update(initializers=1), "uses 'encoder.projection' before"),
    "an initializer more": (lambda d: d["encoder"].update(initializers=3), "names begin with encoder."),
    "name": (lambda d: d["encoder"].update(name="a\nb"), "an encoder's name has 1 to 1000 plain characters"),
    "digest": (lambda d: d["encoder"].update(digest="0" * 64), "not the one whose digest"),
    "huge input": (lambda d: d.update(input_shape=[1 << 20, 1 << 20]), "the graph's inputs are not those"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_tells_otherwise(state: ModelState, name: str) -> None:
    change, message = MANIFESTS[name]
    refuse(edited_manifest(state, change), message)


def test_memory_for_the_encoder_counts(state: ModelState) -> None:
    data = model_file.to_bytes(state)
    bare = model_file.to_bytes(state.head)
    with pytest.raises(EdgeModelError, match="ask for") as refusal:
        model_file.from_bytes(bare, memory_limit=1)
    needed = int(str(refusal.value).split()[4])
    model_file.from_bytes(bare, memory_limit=needed)
    with pytest.raises(EdgeModelError, match=f"ask for {needed + len(data)} bytes of memory"):
        model_file.from_bytes(data, memory_limit=needed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_shape": (1 << 20, 1 << 20)}, "beyond 2147483647 values"),
        ({"input_shape": (64,)}, r"the encoder takes \(1, 8, 8\), the model \(64,\)"),
        ({"encoder": replace(tiny_encoder(), width=21)}, "hidden1 takes 20 inputs, gets 21"),
        ({"encoder": replace(tiny_encoder(), name="")}, "an encoder's name has 1 to 1000"),
    ],
)
def test_an_encoder_that_does_not_fit_is_not_written(
    make_state: MakeState, change: dict[str, Any], message: str
) -> None:
    state = behind(tiny_encoder(), make_state(input_shape=(20,), center=False))
    with pytest.raises(EdgeModelError, match=message):
        model_file.to_bytes(replace(state, **change))
