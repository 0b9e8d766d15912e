"""Records: bytes that are none are refused, and those of a stranger are refused or learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file
from ssd_edge_runtime.storage import records


@pytest.mark.parametrize("make", [analytic_state, gradient_state])
def test_records_from_a_stranger_are_refused_or_learned(make: object, tmp_path: Path) -> None:
    """Records altered and the checks made to match: each is refused in a line, or leaves a model that works."""
    state = make()  # type: ignore[operator]
    model = EdgeModel(state)
    model.record({})
    record = bytearray(model.partial_fit(*samples(1, 20)).record({"samples": 20}))
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        altered = bytearray(record)
        for place in rng.integers(0, len(record), rng.integers(1, 4)):
            altered[place] = rng.integers(256)
        fresh = EdgeModel(state)
        try:
            fresh.replay(bytes(altered))
        except EdgeModelError as error:
            assert "\n" not in str(error)
            refused += 1
            assert model_file.to_bytes(fresh.state) == model_file.to_bytes(state)
        else:
            fresh.predict(samples(2, 3)[0])
            fresh.save(tmp_path / "model.onnx")
    assert refused > 50


def test_a_record_of_a_model_built_otherwise_is_refused() -> None:
    record = EdgeModel(gradient_state(widths=(31,))).record({"samples": 1})
    with pytest.raises(EdgeModelError, match="not of this model"):
        EdgeModel(gradient_state()).replay(record)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff{}",
        records.encode({}, {"a": np.zeros(3, np.uint8)})[:-1],
        records.encode({}, {}) + b"x",
        records.encode({}, {"a": np.zeros(3, np.uint8)}).replace(b'"uint8",3', b'"uint8",9'),
        records.encode({}, {"a": np.zeros(3, np.uint8)}).replace(b'"uint8"', b'"objec"'),
    ],
)
def test_bytes_that_are_no_record(data: bytes) -> None:
    with pytest.raises(EdgeModelError):
        records.decode(data)
