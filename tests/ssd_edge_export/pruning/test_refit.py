"""Kept weights fitted to the unpruned rows, against least squares on the samples themselves."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls

from ssd_edge.data import Dataset
from ssd_edge.model import TopKNetwork
from ssd_edge_export import PruneOptions, prune
from ssd_edge_export.pruning.activity import observe
from ssd_edge_export.pruning.masks import with_masks
from ssd_edge_export.pruning.refit import fit_rows


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).random((200, 12), np.float32)


def network_of(hidden, nonnegative=False, k=2):
    network = TopKNetwork.create((12,), hidden, (k,) * len(hidden), seed=3, nonnegative=nonnegative)
    network.add_classes(["a", "b"])
    network.readout_weight.data = torch.randn(2, hidden[-1], generator=torch.Generator().manual_seed(5)).abs()
    return network.eval()


def masked(network, share=0.5):
    rng = np.random.default_rng(1)
    return with_masks(network, [rng.random(layer.weight.shape) < share for layer in network.topk_layers])


def inputs(network, samples):
    with torch.no_grad():
        return network.preprocess(torch.from_numpy(samples)).double().numpy()


@pytest.mark.parametrize("nonnegative", [False, True])
def test_one_row_is_least_squares_at_length_one(samples, nonnegative):
    network = network_of((6,), nonnegative)
    student, u = masked(network), inputs(network, samples)
    counts = np.zeros(6, np.int64)
    counts[2] = 7
    fit_rows(student, network, samples, [counts], nonnegative=nonnegative)
    layer, target = student.topk_layers[0], u @ network.topk_layers[0].weight[2].detach().double().numpy()
    kept = layer.mask[2].numpy()
    wanted = nnls(u[:, kept], target)[0] if nonnegative else np.linalg.lstsq(u[:, kept], target)[0]
    found = layer.weight[2].detach().numpy()
    np.testing.assert_allclose(found[kept], wanted / np.linalg.norm(wanted), atol=2e-3)
    assert (found[~kept] == 0).all()
    others = masked(network).topk_layers[0].weight[3].detach()
    assert torch.equal(layer.weight[3].detach(), others)


def test_rows_share_one_scale(samples):
    network = network_of((6,))
    student, u = masked(network), inputs(network, samples)
    counts = np.array([0, 5, 0, 20, 0, 0])
    fit_rows(student, network, samples, [counts], nonnegative=False)
    layer, rows = student.topk_layers[0], [1, 3]
    kept = layer.mask.numpy()[rows]
    targets = u @ network.topk_layers[0].weight.detach().double().numpy()[rows].T
    moment = u.T @ u / len(u)

    def cost(weights, scale):
        error = scale * u @ weights.T - targets
        return float(np.array([0.2, 0.8]) @ (error**2).mean(0))

    def best_scale(weights):
        return float(
            np.array([0.2, 0.8]) @ (weights @ moment * (targets.T @ u / len(u) @ np.linalg.pinv(moment))).sum(1)
        ) / float(np.array([0.2, 0.8]) @ (weights @ moment * weights).sum(1))

    def unpacked(free):
        weights = np.zeros(kept.shape)
        weights[kept] = free
        return weights / np.linalg.norm(weights, axis=1, keepdims=True)

    found = layer.weight.detach().double().numpy()[rows]
    reached = cost(found, best_scale(found))
    start = found[kept] + 0.3 * np.random.default_rng(2).standard_normal(kept.sum())
    searched = minimize(lambda free: cost(unpacked(free), best_scale(unpacked(free))), start, tol=1e-12).fun
    assert reached <= 1.01 * searched + 1e-9


def test_whole_rows_stay(samples):
    network = network_of((6, 5))
    student = with_masks(network, [np.ones(layer.weight.shape, bool) for layer in network.topk_layers])
    counts = [seen.activation_count for seen in observe(network, samples)]
    fit_rows(student, network, samples, counts, nonnegative=False)
    for own, other in zip(student.topk_layers, network.topk_layers, strict=True):
        torch.testing.assert_close(own.weight, other.weight, atol=1e-4, rtol=0.0)


def test_a_second_layer_is_fitted_to_the_codes_it_now_gets(samples):
    network = network_of((10, 6), nonnegative=True, k=4)
    student = masked(network)
    untouched = masked(network)
    counts = [seen.activation_count for seen in observe(network, samples)]
    fit_rows(student, network, samples, counts, nonnegative=True)

    def error(pruned):
        u = network.preprocess(torch.from_numpy(samples))
        with torch.no_grad():
            own, other = pruned.hidden_of(u)[0][1], network.hidden_of(u)[0][1]
        weighted = torch.from_numpy(counts[1]) * own
        scale = (weighted * other).sum() / (weighted * own).sum()
        return float((torch.from_numpy(counts[1]) * (scale * own - other) ** 2).sum())

    assert error(student) < 0.9 * error(untouched)
    for layer in student.topk_layers:
        assert (layer.weight >= 0).all() and (layer.weight[~layer.mask] == 0).all()
        torch.testing.assert_close(torch.linalg.vector_norm(layer.weight, dim=1), torch.ones(len(layer.weight)))


def test_no_label_is_looked_at(samples):
    network = network_of((8,), nonnegative=True)
    labels = np.random.default_rng(0).integers(0, 2, len(samples))
    pruned = [
        prune(network, PruneOptions(density=0.3, fine_tune_epochs=2), data=Dataset(samples, y, ("a", "b")))
        for y in (labels, 1 - labels)
    ]
    for name, tensor in pruned[0].state_dict().items():
        assert torch.equal(tensor, pruned[1].state_dict()[name]), name
