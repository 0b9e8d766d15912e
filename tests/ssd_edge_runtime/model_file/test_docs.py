"""``docs/reference/format.md`` names everything that a file may hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import onnx
import pytest
from encoders import behind, tiny_encoder

from ssd_edge_runtime import model_file
from ssd_edge_runtime.input_facts import InputFacts, Scale, Way, Windows
from ssd_edge_runtime.ledger.entries import LONGEST_TEXT, MAX_ENTRIES, VERBS, Entry
from ssd_edge_runtime.ledger.ledger import FIRST, LAST, LETTERS, MAX_MERGED, MAX_STRETCHES, Ledger, Merged
from ssd_edge_runtime.model_file.graph import OPERATORS
from ssd_edge_runtime.model_file.inputs import inputs_document
from ssd_edge_runtime.state import ModelState

LEDGER = Ledger(
    (("0f" * 8,),),
    (Merged("a.onnx", "ab" * 32, "cd" * 32, ("1e" * 8,)),),
    (Entry("learn", 2, 0, {"a": 1}, 1, "x", {"a": "b"}, "note", 0.5, "0f" * 8, "a.onnx", 1),),
)
MakeState = Callable[..., ModelState]
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "format.md").read_text()


def keys(document: Any) -> Iterator[str]:
    """Every key of a manifest, but for those of ``provenance`` and names of classes."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield key
            if key not in ("provenance", "samples", "renamed"):
                yield from keys(value)
    elif isinstance(document, list):
        for value in document:
            yield from keys(value)


def test_every_operator_is_listed() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| operators |"))
    assert tuple(row.removeprefix("| operators | ").removesuffix(" |").split(", ")) == OPERATORS


def test_the_encoder_is_described(make_state: MakeState) -> None:
    data = model_file.to_bytes(behind(tiny_encoder(), make_state(input_shape=(20,))))
    told = json.loads(onnx.load_from_string(data).metadata_props[1].value)["encoder"]
    row = next(line for line in PAGE.splitlines() if line.startswith("| `encoder` |"))
    assert {key for key in told if f"`{key}`" not in row} == set()


def test_the_facts_of_inputs_are_described() -> None:
    facts = InputFacts(Scale((0.0,), (1.0,), (0.5,), (0.1,), True), "crop", Windows(4, 2, ("a",), "who"))
    row = next(line for line in PAGE.splitlines() if line.startswith("| `inputs` |"))
    assert {key for key in keys(inputs_document(facts)) if f"`{key}`" not in row} == set()
    assert {way for way in get_args(Way) if f"`{way}`" not in row} == set()


def test_the_ledger_is_described(make_state: MakeState) -> None:
    data = model_file.to_bytes(replace(make_state(), ledger=LEDGER))
    told = json.loads(onnx.load_from_string(data).metadata_props[1].value)["ledger"]
    part = PAGE[PAGE.index("## Ledger") : PAGE.index("## Weights")]
    assert {key for key in keys(told) if f"`{key}`" not in part} == set()
    assert {verb for verb in VERBS if f"`{verb}`" not in part} == set()
    for bound in (LONGEST_TEXT, LETTERS, FIRST, LAST, FIRST + LAST, MAX_STRETCHES, MAX_MERGED, MAX_ENTRIES):
        assert str(bound) in part


@pytest.mark.parametrize(
    "case", [{"teacher": True}, {"readout": "analytic"}, {"normalized_first": True, "sketch": 5}]
)
def test_every_key_and_initializer_is_named(make_state: MakeState, case: dict[str, Any]) -> None:
    model = onnx.load_from_string(model_file.to_bytes(make_state(values="int8", **case)))
    missing = {key for key in keys(json.loads(model.metadata_props[1].value)) if f"`{key}`" not in PAGE}
    assert not missing
    for tensor in (*model.graph.initializer, *model.training_info[0].algorithm.initializer):
        name = tensor.name.removeprefix("hidden1.")
        assert f"`{name}`" in PAGE or f".{name}`" in PAGE, tensor.name
