"""Learning in one pass, on a small model: the script behind docs/lab/device-learning.md."""

from __future__ import annotations

import sys

import numpy as np

from ssd_edge_bench import one_pass


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
