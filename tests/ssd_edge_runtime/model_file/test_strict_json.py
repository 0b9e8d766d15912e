"""JSON from a stranger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from forged import Model, edited, refuse

from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (nested(100_000), "nested more than 32 deep"),
        ("[" * 1_000_000, "nested more than 32 deep"),
        ("{" + ",".join(f'"{i}":1' for i in range(50_001)) + "}", "holds more than 50000 keys"),
        (" " * (3 << 20), "more than 2097152"),
        ('{"a": NaN}', "not finite"),
        ('{"a": 1e999}', "not finite"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"a": "\\ud800"}', "half a character"),
        ("{", "not valid JSON"),
        ("[]", "must be an object"),
    ],
)
def test_json_that_bites(make_state: MakeState, text: str, message: str) -> None:
    def edit(model: Model) -> None:
        model.metadata_props[1].value = text

    refuse(edited(make_state(), edit), message)
