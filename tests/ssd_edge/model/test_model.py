"""The Top-K layer and network against hand-written formulas."""

import numpy as np
import pytest
import torch

from ssd_edge.model import TopKLayer, TopKNetwork, load_network, save_network
from ssd_edge.model.linear import LARGE, relu_linear, row_gradient
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.network.first_rows import initial_rows
from ssd_edge_runtime.options import LearningOptions


@pytest.fixture
def network():
    network = TopKNetwork.create((1, 3, 4), [20, 15], [4, 3], seed=1, nonnegative=False)
    network.add_classes(["a", "b", "c"])
    with torch.no_grad():
        network.readout_weight.copy_(torch.randn(3, 15, generator=torch.Generator().manual_seed(5)))
    return network


def samples(n=7, seed=0):
    return torch.rand(n, 1, 3, 4, generator=torch.Generator().manual_seed(seed))


def topk_by_sorting(a, k, gate=1.0):
    inhibition = np.sort(a, axis=1)[:, -k - 1][:, None]
    return np.maximum(a - gate * inhibition, 0)


def test_forward_equals_numpy(network):
    x = samples()
    u = x.numpy().reshape(7, 12)
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    for layer in network.layers:
        u = topk_by_sorting(np.maximum(u @ layer.weight.detach().numpy().T, 0), layer.k)
    expected = u @ network.readout_weight.detach().numpy().T
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_centered_and_all_zero_inputs_are_legal(network):
    x = torch.zeros(2, 1, 3, 4)
    assert torch.equal(network(x), torch.zeros(2, 3))
    network.center = torch.full((12,), 0.5)
    expected = torch.full((2, 12), -1 / np.sqrt(12))
    assert torch.allclose(network.preprocess(x), expected)


@pytest.mark.parametrize(("count", "gate"), [(0, -1.0), (25, -0.5), (50, 0.0), (75, 0.5), (100, 1.0), (500, 1.0)])
def test_gaba_switch(count, gate):
    layer = TopKLayer(torch.rand(6, 4), 2)
    layer.switch = 100.0
    layer.inhibition_count.fill_(count)
    a = torch.rand(5, 6)
    np.testing.assert_allclose(layer.inhibit(a).numpy(), topk_by_sorting(a.numpy(), 2, gate), atol=1e-7)
    layer.eval()
    np.testing.assert_allclose(layer.inhibit(a).numpy(), topk_by_sorting(a.numpy(), 2), atol=1e-7)


@pytest.mark.parametrize("k", [1, 10, 98])
def test_inhibition_is_the_number_that_sorting_finds(k):
    layer, a = TopKLayer(torch.rand(100, 4), k), torch.relu(torch.randn(50, 100))
    assert torch.equal(layer.inhibition(a), torch.topk(a, k + 1).values[:, -1:])


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_large_products_and_their_gradients_are_those_of_autograd(share):
    """Wide enough for oneDNN, and the same bits each time: what --resume promises rests on it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(64, 300, generator=generator)
    weight = torch.randn(500, 300, generator=generator).requires_grad_()
    assert x.shape[0] * weight.numel() >= LARGE
    wanted = torch.rand(64, 500, generator=generator) * (torch.rand(64, 500, generator=generator) < share)
    dense, sparse = (relu_linear(x, weight, sparse=flag) for flag in (False, True))
    torch.testing.assert_close(sparse, dense, rtol=1e-5, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(relu_linear(x, weight, sparse=True), sparse)
    (expected,) = torch.autograd.grad(dense, weight, wanted)
    found = row_gradient(wanted, sparse, x)
    torch.testing.assert_close(found.to_dense(weight), expected, rtol=1e-4, atol=1e-5)
    assert torch.equal(row_gradient(wanted, sparse, x).values, found.values)


def test_inhibition_carries_no_gradient():
    layer = TopKLayer(torch.eye(4), 2)
    x = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    layer(x).sum().backward()
    assert torch.equal(layer.weight.grad.abs().sum(1) > 0, torch.tensor([False, False, True, True]))


def test_sparse_backward_equals_dense(network):
    x = samples()
    network(x).square().sum().backward()
    dense = [layer.weight.grad.clone() for layer in network.layers]
    for layer in network.layers:
        layer.sparse_backward = True
    network(x).square().sum().backward()
    for layer, expected in zip(network.layers, dense, strict=True):
        rows = torch.zeros_like(expected)
        rows[layer.weight.row_gradient.rows] = layer.weight.row_gradient.values
        assert len(layer.weight.row_gradient.rows) < len(rows)
        torch.testing.assert_close(rows, expected)


def test_initial_rows_have_length_one_and_follow_the_seed():
    first, again, other = (TopKNetwork.create((4,), [9], [2], seed=s).layers[0].weight for s in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.allclose(first.norm(dim=1), torch.ones(9)) and (first >= 0).all()
    assert (TopKNetwork.create((4,), [9], [2], nonnegative=False).layers[0].weight < 0).any()


def test_counts_per_class_and_task(network):
    x, y = samples(30), torch.arange(30) % 3
    codes = network.codes(x)
    network.count(codes, y)
    for layer, z in zip(network.layers, codes, strict=True):
        fired = (z > 0).numpy()
        assert layer.activation_count.tolist() == fired.sum(0).tolist()
        assert layer.class_count.tolist() == [fired[y.numpy() == c].sum(0).tolist() for c in range(3)]
        assert torch.allclose(layer.frequency(30), torch.from_numpy(fired.mean(0)))
    assert network.class_samples.tolist() == [10, 10, 10]
    network.boundary()
    network.count(network.codes(x[:3]), y[:3])
    assert (network.samples_seen, network.task_samples) == (33, 3)
    assert network.layers[0].task_count.sum() < network.layers[0].activation_count.sum()


def test_most_frequent_ties_go_to_the_lower_index(network):
    layer = network.layers[0]
    layer.task_count[:] = torch.tensor([0, 5, 5, 5, 9] + [0] * 15)
    layer.activation_count[7] = 1
    assert network.most_frequent()[0].tolist() == [1, 2, 3, 4]
    assert network.most_frequent(2)[0].tolist() == [1, 4]
    assert network.most_frequent(2, "all")[0].tolist() == [0, 7]


def test_new_classes_start_at_zero_and_old_logits_stay(network):
    x = samples()
    before = network(x)
    network.add_classes(["b", "d"])
    assert network.classes == ["a", "b", "c", "d"]
    after = network(x)
    torch.testing.assert_close(after[:, :3], before)
    assert torch.equal(after[:, 3], torch.zeros(7))
    learning = LearningOptions(seed=5)
    network.add_classes(["e", "f"], learning)
    assert torch.equal(network.readout_weight[4:], torch.from_numpy(initial_rows(4, 2, 15, learning)))


@pytest.mark.parametrize("k", [0, 20, -1])
def test_k_out_of_range(k):
    with pytest.raises(OptionError, match=rf"k must be between 1 and hidden - 1 \(19\), got {k}"):
        TopKLayer(torch.rand(20, 3), k)


def test_save_and_load_keep_everything(network, tmp_path):
    network.center = torch.rand(12)
    network.layers[0].mask = torch.rand(20, 12) > 0.5
    network.apply_masks()
    network.count(network.codes(samples()), torch.arange(7) % 3)
    save_network(tmp_path / "model.safetensors", network)
    again = load_network(tmp_path / "model.safetensors")
    assert torch.equal(again(samples()), network(samples()))
    assert again.state_dict().keys() == network.state_dict().keys()
    assert all(torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items())
    assert (again.classes, again.samples_seen, again.task_samples) == (["a", "b", "c"], 7, 7)


def test_load_refuses_other_files(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(DataError, match="no such file"):
        load_network(path)
    path.write_bytes(b"not this")
    with pytest.raises(DataError, match="not a safetensors file of SSD-Edge"):
        load_network(path)
