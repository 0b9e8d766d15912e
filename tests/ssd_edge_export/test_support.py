"""Sparse from the first step: supports drawn by ``train``, kept by every step, exported without pruning."""

import numpy as np
import pytest
import torch

from ssd_edge.training import TrainConfig, train
from ssd_edge.training.api import make_trainer
from ssd_edge_export.export import state_of_run
from ssd_edge_export.options import ExportOptions
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.model import EdgeModel

SMALL = {"hidden": (30, 20), "k": (5, 4), "epochs": 1, "until_task": 2, "device": "cpu", "density": 0.2}


@pytest.mark.parametrize("method", ["ssd", "finetune+ewc"])
def test_supports_stay(method):
    first = make_trainer(TrainConfig(data="digits", method=method, **SMALL)).network
    run = train("digits", method=method, **SMALL)
    for before, layer in zip(first.layers, run.network.layers, strict=True):
        assert (layer.mask.sum(1) == round(0.2 * layer.weight.shape[1])).all()
        assert torch.equal(before.mask, layer.mask)
        assert torch.equal(layer.weight != 0, layer.mask & (layer.weight != 0))
        torch.testing.assert_close(layer.weight.norm(dim=1), torch.ones(len(layer.weight)))
        assert not torch.allclose(before.weight, layer.weight)


def test_the_file_holds_the_support_and_answers_the_same():
    run = train("digits", method="sdmlp", **SMALL)
    state = state_of_run(run, ExportOptions(values="float32"))
    for layer, trained in zip(state.layers, run.network.layers, strict=True):
        assert (layer.weights.to_dense() != 0).sum() <= int(trained.mask.sum()) == len(layer.weights.values)
        assert len(set(np.diff(layer.weights.indptr))) == 1
    x = run.test_data().x[:50]
    logits = run.network(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(EdgeModel(state).logits(x), logits, atol=1e-5)


def test_seeds_draw_others_and_a_sketch_counts_against_the_input():
    networks = [make_trainer(TrainConfig(data="digits", **SMALL, seed=seed)).network for seed in (0, 1)]
    assert not torch.equal(*(network.layers[0].mask for network in networks))
    sketched = make_trainer(TrainConfig(data="digits", **SMALL, sketch=16)).network.layers[0]
    assert (sketched.mask.sum(1) == round(0.2 * 64)).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"density": 0.0}, r"density must be in \(0, 1\], got 0.0"),
        ({"density": 1.5}, r"density must be in \(0, 1\], got 1.5"),
        ({"density": 0.1, "method": "views"}, "method views says itself which weights are there"),
        ({"density": 0.1, "method": "flymodel"}, "method flymodel says itself which weights are there"),
    ],
)
def test_refusals(options, told):
    with pytest.raises(OptionError, match=told):
        TrainConfig(**options)
