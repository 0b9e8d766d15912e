"""What ``inspect`` says of memory, storage and a solution before anybody learns."""

from __future__ import annotations

import pytest

from ssd_edge_bench.footprint import estimates
from ssd_edge_runtime import analytic


def described(
    readout: str, learning_state: bool = True, neurons: int = 1000, encoder: dict[str, object] | None = None
) -> dict[str, object]:
    layer = {"shape": [neurons, 784], "nonzeros": 39_000}
    return {
        "encoder": encoder,
        "layers": [layer],
        "classes": ["a", "b"],
        "readout": readout,
        "learning_state": learning_state,
        "file_bytes": 1000,
    }


def test_the_closed_form_states_its_statistics_and_its_solution() -> None:
    found, gradient = estimates(described("analytic")), estimates(described("gradient"))
    statistics = analytic.empty(1000, 2)
    assert (
        found["memory_bytes"] - gradient["memory_bytes"] == statistics.gram.nbytes + statistics.class_sums.nbytes
    )
    assert found["flash_bytes"] == 5000
    assert found["solve_flops"] == pytest.approx(1000**3 / 3, rel=0.5)
    assert found["solve_seconds"] > 0.0


def test_an_encoder_is_held_twice() -> None:
    bare, encoded = (estimates(described("analytic", encoder=each)) for each in (None, {"bytes": 10**6}))
    assert encoded["memory_bytes"] - bare["memory_bytes"] == 2 * 10**6


def test_what_is_not_solved_states_no_solution() -> None:
    for document in (described("gradient"), described("analytic", learning_state=False)):
        found = estimates(document)
        assert (found["solve_bytes"], found["solve_flops"], found["solve_seconds"]) == (0, 0, 0.0)


def test_wider_layers_take_longer() -> None:
    narrow, wide = (estimates(described("analytic", neurons=n)) for n in (1000, 8000))
    assert wide["solve_flops"] > 300 * narrow["solve_flops"]
