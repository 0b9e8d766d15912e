"""The dense rival learns what the runtime learns."""

from __future__ import annotations

import numpy as np
import pytest

from ssd_edge_bench.reference_models import Case, random_state


@pytest.mark.parametrize("centered", [False, True])
def test_torch_takes_the_same_step(centered: bool) -> None:
    pytest.importorskip("torch")
    import torch

    from ssd_edge_bench.engines.torch_dense import TorchEngine
    from ssd_edge_runtime import EdgeModel

    state = random_state(Case(40, 60, 1.0, 5, k=4))
    state.center = np.full(40, 0.5, np.float32) if centered else None
    x = np.random.default_rng(0).random((32, 40), np.float32)
    y = np.arange(32) % 5
    model, theirs = EdgeModel(state, engine="csr"), TorchEngine(state, threads=1)
    for _ in range(3):
        model.partial_fit(x, y)
        theirs.step(x, torch.from_numpy(y))
    np.testing.assert_allclose(
        model.state.layers[0].weights.to_dense(), theirs.hidden[0].detach().numpy(), atol=1e-5
    )
    np.testing.assert_allclose(model.logits(x), theirs.predict(x), rtol=1e-4, atol=1e-5)
