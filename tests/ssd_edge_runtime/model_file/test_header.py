"""A header: whose the file is, which format, and its digest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from forged import Model, edited, refuse, tensor
from onnx import helper

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.header import (
    checked_digest,
    digest_of,
    file_digest,
    read_header,
    read_place,
    stored_digest,
)
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def plain_onnx() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", 1, [1])],
        [helper.make_tensor_value_info("y", 1, [1])],
    )
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04 a zip file", "not an ONNX model, or cut short"),
        (b"\x08\x08", "not an ONNX model: it has no graph"),
        (b'{"json": true}', "not an ONNX model"),
        (plain_onnx(), "not one of SSD-Edge's"),
        (b"\x0a\x00" * 20_000, "more than 10000 fields"),
    ],
)
def test_other_files_are_told_apart(data: bytes, message: str) -> None:
    refuse(data, message)


def test_a_file_cut_short_or_altered(make_state: MakeState) -> None:
    data = model_file.to_bytes(make_state())
    for length in (1, 10, len(data) // 2, len(data) - 1):
        with pytest.raises(EdgeModelError):
            model_file.from_bytes(data[:length])
    refuse(data[: len(data) // 2], "cut short")
    at = data.rindex(b"hidden1.values")
    altered = data[: at + 20] + bytes([data[at + 20] ^ 1]) + data[at + 21 :]
    refuse(altered, "digest mismatch, the file was altered or damaged")
    assert model_file.from_bytes(altered, verify=False).classes == ["class 0", "class 1", "class 2"]


def test_an_unknown_format_number_is_named(make_state: MakeState) -> None:
    def edit(model: Model) -> None:
        model.metadata_props[0].value = "7"

    refuse(edited(make_state(), edit), "ssd_edge.format '7' is not known to this version, which reads 1")


def test_metadata_says_what_the_file_is(make_state: MakeState) -> None:
    state = make_state()
    data = model_file.to_bytes(state)
    model = onnx.load_from_string(data)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert list(metadata) == ["ssd_edge.format", "ssd_edge.manifest", "ssd_edge.digest"]
    assert metadata["ssd_edge.format"] == "1"
    assert json.loads(metadata["ssd_edge.manifest"])["classes"] == state.classes
    assert metadata["ssd_edge.digest"] == model_file.digest_of(data)
    assert (model.ir_version, model.opset_import[0].version) == (8, 18)


def test_the_digest_carried_and_the_digest_that_should_be(make_state: MakeState, tmp_path: Path) -> None:
    data, path = model_file.to_bytes(make_state()), tmp_path / "model.onnx"
    digest = digest_of(data)
    assert {stored_digest(data), checked_digest(data), read_header(data).digest} == {digest}
    altered = data[:-1] + bytes([data[-1] ^ 1])
    assert stored_digest(altered) == read_header(altered, verify=False).digest == digest != digest_of(altered)
    for read in (checked_digest, read_header):
        with pytest.raises(EdgeModelError, match="digest mismatch"):
            read(altered)
    path.write_bytes(altered)
    assert file_digest(path) == digest
    path.write_bytes(plain_onnx())
    assert file_digest(path) is None


def test_a_header_needs_no_array(make_state: MakeState) -> None:
    """The manifest is read although the weights behind it are none."""
    state = make_state()
    data = edited(state, lambda model: setattr(tensor(model, "hidden1.values"), "raw_data", b""))
    assert read_header(data).manifest.classes == state.classes
    refuse(data, "bytes, found 0")


def test_a_place_is_what_the_manifest_says(make_state: MakeState) -> None:
    first = model_file.to_bytes(make_state())
    state = replace(make_state(), generation=7, parent=model_file.digest_of(first))
    for each in (state, replace(state, replaced="ab" * 32)):
        data = model_file.to_bytes(each)
        known = read_header(data).manifest
        place = read_place(data)
        assert (place.digest, place.generation) == (model_file.digest_of(data), 7)
        assert place.previous == (known.replaced or known.parent)
    with pytest.raises(EdgeModelError, match="digest mismatch"):
        read_place(data[:-1] + b"\xff")
    assert read_place(data[:-1] + b"\xff", verify=False).generation == 7
