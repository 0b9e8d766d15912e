"""Rewiring rules against loops over single entries, written from their formulas."""

import math

import numpy as np
import pytest
import torch
from resumption import assert_resumes

from ssd_edge.methods import parse_method
from ssd_edge.methods.g2gnet import correlation, moments
from ssd_edge.methods.method import Task
from ssd_edge.methods.rewiring import cosine_share
from ssd_edge.methods.rigl import drop_and_grow
from ssd_edge.methods.set import SET
from ssd_edge.methods.srigl import constant_fan_in
from ssd_edge.model import TopKNetwork, random_support
from ssd_edge.training import TrainConfig
from ssd_edge.training.step import Step
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import LearningOptions


@pytest.fixture
def sparse_layer():
    rng = np.random.default_rng(0)
    mask = rng.random((12, 20)) < 0.3
    return rng.standard_normal((12, 20)).astype(np.float32) * mask, mask, rng.random((12, 20)).astype(np.float32)


def entries(mask):
    return {(int(i), int(j)) for i, j in zip(*np.nonzero(np.asarray(mask)), strict=True)}


def test_rigl_drops_the_smallest_and_grows_the_steepest(sparse_layer):
    weight, mask, score = sparse_layer
    found = drop_and_grow(*map(torch.from_numpy, sparse_layer), share=0.25)
    by_size = sorted(entries(mask), key=lambda at: abs(weight[at]))
    moved = int(0.25 * len(by_size))
    kept = set(by_size[moved:])
    empty = sorted({(i, j) for i in range(12) for j in range(20)} - kept, key=lambda at: -score[at])
    assert entries(found) == kept | set(empty[:moved])
    assert moved > 5
    assert found.sum() == mask.sum()


@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_srigl_fills_every_row_to_one_length(gamma):
    rng = np.random.default_rng(1)
    mask = random_support(12, 20, 0.3, torch.Generator().manual_seed(0)).numpy()
    weight = rng.standard_normal((12, 20)).astype(np.float32) * mask
    score = rng.random((12, 20)).astype(np.float32)
    found = constant_fan_in(*map(torch.from_numpy, (weight, mask, score)), 0.4, gamma)
    total, moved = mask.sum(), int(0.4 * mask.sum())
    by_size = sorted(entries(mask), key=lambda at: abs(weight[at]))
    kept = set(by_size[moved:])
    empty = sorted({(i, j) for i in range(12) for j in range(20)} - entries(mask), key=lambda at: -score[at])
    salient = kept | set(empty[:moved])
    rows = [i for i in range(12) if sum(at[0] == i for at in salient) >= gamma * total / 12]
    length, expected = total // len(rows), set()
    for i in rows:
        own = sorted((at for at in kept if at[0] == i), key=lambda at: -abs(weight[at]))
        rest = sorted(((i, j) for j in range(20) if (i, j) not in kept), key=lambda at: -score[at])
        expected |= set((own + rest)[:length])
    assert entries(found) == expected
    assert (len(rows) < 12) == (gamma > 0)


def test_set_drops_either_sign_nearest_to_zero_and_grows_at_random(sparse_layer):
    weight, mask, _ = sparse_layer
    network = TopKNetwork([torch.from_numpy(weight)], [3], (20,), masks=[torch.from_numpy(mask)])
    layer, method = network.topk_layers[0], SET(scale=0.5)
    new = method.rewired(0, layer, 0.3, torch.Generator().manual_seed(0)).numpy()
    gone = set()
    for sign in (1, -1):
        part = sorted((at for at in entries(mask) if sign * weight[at] > 0), key=lambda at: abs(weight[at]))
        gone |= set(part[: int(0.3 * len(part))])
    kept, after = entries(mask) - gone, entries(layer.mask)
    grown = after - kept
    assert kept < after
    assert len(after) == mask.sum()
    assert grown.isdisjoint(entries(mask)), "places that were empty"
    assert entries(new) == after
    assert {float(new[at]) for at in kept} == {float(weight[at]) for at in kept}
    assert 0.2 < np.std([new[at] for at in grown]) < 0.8


def test_correlation_over_batches_is_that_of_all_samples():
    rng = np.random.default_rng(2)
    x, a = rng.random((60, 7)), rng.random((60, 5))
    a[:, 0] += 2 * x[:, 3]
    x[:, 6] = 0.5
    samples = [torch.from_numpy(values.astype(np.float32)).split(20) for values in (a, x)]
    found = correlation(sum(moments(*part) for part in zip(*samples, strict=True)))
    expected = np.abs([[np.corrcoef(a[:, i], x[:, j])[0, 1] for j in range(6)] for i in range(5)])
    np.testing.assert_allclose(found[:, :6], expected, atol=1e-4)
    assert (found[:, 6] == 0).all()


def test_share_falls_along_a_cosine():
    assert [cosine_share(0.3, t, 8) for t in (0, 4, 8)] == pytest.approx([0.3, 0.15, 0.0])
    assert cosine_share(0.4, 2, 8) == pytest.approx(0.2 * (1 + math.cos(math.pi / 4)))


def test_rigl_sees_the_gradient_at_empty_places():
    """The sum of its scores is that of dense autograd, and it is used at the last step of a period."""
    generator = torch.Generator().manual_seed(0)
    mask = random_support(15, 12, 0.25, generator)
    weight = torch.nn.functional.normalize(torch.randn(15, 12, generator=generator) * mask)
    network = TopKNetwork([weight], [4], (12,), masks=[mask])
    network.add_classes(list("abc"), LearningOptions(nonnegative=False))
    method = parse_method("rigl").create({"rigl": {"every": 3, "batches": 2}})[1]
    task = Task(1, torch.empty(0), torch.empty(0), network, None, [], 0, 100)
    method.before_task(task)
    learning = LearningOptions(learning_rate=0.1, distill=None, nonnegative=False)
    step, total = Step(network, learning, [method]), torch.zeros(15, 12)
    for number in range(3):
        u = torch.nn.functional.normalize(torch.rand(8, 12, generator=generator))
        y = torch.randint(3, (8,), generator=generator)
        w = network.layers[0].weight.detach().clone().requires_grad_()
        a = torch.relu(u @ w.T)
        z = torch.relu(a - torch.sort(a.detach(), dim=1, descending=True).values[:, 4:5])
        torch.nn.functional.cross_entropy(z @ network.readout_weight.T.detach(), y).backward()
        if number == 2:
            torch.testing.assert_close(method.scores[0], total)
        total += w.grad.abs() if number else 0
        step(u, y, task)
        assert torch.equal(network.layers[0].mask, mask) == (number < 2)
    assert method.scores == {}
    weights = network.layers[0].weight
    assert (weights[~network.layers[0].mask] == 0).all()
    assert network.layers[0].mask.sum() == mask.sum()


@pytest.mark.parametrize("method", ["sdmlp+set", "ssd+rigl", "srigl", "sdmlp+g2gnet"])
def test_rules_train_and_resume(tmp_path, method):
    rule = method.split("+")[-1]
    options = {"method": method, "hidden": (24,), "epochs": 3, "until_task": 2, "density": 0.2, "device": "cpu"}
    options[rule] = {"every": 3} | ({} if rule == "set" else {"batches": 2})
    whole = assert_resumes(tmp_path / "run", options)
    lengths = whole.network.layers[0].mask.sum(1)
    assert lengths.sum() == 24 * round(0.2 * 64)
    assert len(lengths.unique()) == 1 or rule != "srigl"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "ssd+set"}, "method set moves connections of a sparse network: give density below 1"),
        ({"method": "ssd+set+rigl", "density": 0.1}, "methods set and rigl both move connections: choose one"),
        ({"method": "random+rigl", "density": 0.1}, "and random takes none: join it to ssd, sdmlp or finetune"),
        ({"method": "set", "settings": {"set": {"scale": -1.0}}}, "scale must not be negative, got -1.0"),
        ({"method": "rigl", "settings": {"rigl": {"batches": 101}}}, r"between 1 and every \(100\), got 101"),
        ({"method": "srigl", "settings": {"srigl": {"gamma": 1.0}}}, r"gamma must be in \[0, 1\), got 1.0"),
        ({"method": "rigl", "settings": {"rigl": {"every": 0}}}, "every must be at least 1, got 0"),
        ({"method": "rigl", "settings": {"rigl": {"share": 1.5}}}, "share must be between 0 and 1, got 1.5"),
        ({"method": "rigl", "settings": {"rigl": {"until": -1.0}}}, "until must be between 0 and 1, got -1.0"),
    ],
)
def test_refusals(options, told):
    with pytest.raises(OptionError, match=told):
        TrainConfig(**options)
