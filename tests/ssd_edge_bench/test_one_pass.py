"""The scripts behind the figures of docs/lab/device-learning.md, on small models."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ssd_edge_bench import one_pass, ratios
from ssd_edge_bench.reference_models import Case, random_state


def write(path, seed: int, count: int) -> str:
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 10
    x = np.random.default_rng(99).random((10, 30))[y] + 0.3 * rng.random((count, 30))
    np.savez(path, x=x.astype(np.float32), y=y, classes=np.array([f"class {c}" for c in range(10)]))
    return str(path)


def test_one_pass_reports_accuracy_order_merging_and_few_samples(tmp_path, monkeypatch, capsys) -> None:
    train, test = write(tmp_path / "train.npz", 0, 600), write(tmp_path / "test.npz", 1, 100)
    options = ["--hidden", "80", "--k", "8", "--density", "0.3", "--few", "1"]
    monkeypatch.setattr(sys, "argv", ["one_pass", train, test, *options])
    one_pass.main()
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[0].rpartition(" ")[2]) > 0.9
    exact = [line for line in lines if "order:" in line or "shuffled:" in line or "against" in line]
    assert len(exact) == 4
    assert all(float(line.rpartition(" ")[2]) < 1e-4 for line in exact)
    assert sum("recall" in line for line in lines) == 3


def test_ratios_compare_the_same_function() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnxruntime")
    case = Case(40, 60, 0.2, 5, k=4)
    found = ratios.measure(case, seconds=0.01)
    assert [(r.operation, r.batch) for r in found] == [
        ("predict", 1),
        ("predict", 32),
        ("learn", 1),
        ("learn", 32),
    ]
    assert all(r.ratio == pytest.approx(r.theirs_us / r.ours_us) and len(r.raw_us[0]) >= 5 for r in found)
    assert len(ratios.table(found).splitlines()) == 5


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
