"""CLNP: which neurons become stable, by a loop over thresholds; what is frozen, cut and free."""

import numpy as np
import pytest
import torch

from ssd_edge.methods import parse_method
from ssd_edge.methods.clnp import needed_neurons
from ssd_edge.methods.method import Batch, Task
from ssd_edge.model import TopKNetwork
from ssd_edge.training import TrainConfig, train
from ssd_edge.training.step import Step
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import LearningOptions

LEARNING = LearningOptions(learning_rate=0.5, distill=None, nonnegative=False)


@pytest.fixture
def task():
    network = TopKNetwork.create((12,), [20, 15], [6, 5], seed=1, nonnegative=False)
    network.add_classes(list("abc"), LEARNING)
    u = torch.nn.functional.normalize(torch.randn(40, 12, generator=torch.Generator().manual_seed(0)))
    y = network.eval().readout(network.codes_of(u)[-1]).argmax(dim=1)
    return Task(1, u, y, network, None, [], 3)


def numpy_accuracy(network, u, y, kept):
    z = u.numpy()
    for layer, own in zip(network.layers, kept, strict=True):
        a = np.maximum(z @ layer.weight.detach().numpy().T, 0)
        z = np.maximum(a - np.sort(a, axis=1)[:, -layer.k - 1][:, None], 0) * own
    return np.mean((z @ network.readout_weight.detach().numpy().T).argmax(1) == y.numpy())


def test_the_threshold_stands_where_accuracy_falls(task):
    found = [kept.numpy() for kept in needed_neurons(task.network, task.u, task.y, 0.1)]
    full = [np.ones(20, bool), np.ones(15, bool)]
    z = [z.detach().numpy() for z in task.network.codes_of(task.u)]
    for number in range(2):
        kept = [found[0] if number else full[0], full[1]]
        order = np.argsort(z[number].mean(0), kind="stable")
        given_up = int((~found[number]).sum())
        assert set(np.flatnonzero(~found[number])) == set(order[:given_up])
        for count, enough in ((given_up, True), (given_up + 1, False)):
            own = np.ones(len(order), bool)
            own[order[:count]] = False
            kept[number] = own
            assert (numpy_accuracy(task.network, task.u, task.y, kept) >= 0.9 - 1e-6) == enough
    assert 0 < (~found[1]).sum() < 15


def test_stable_neurons_stand_still_and_hear_nothing_from_free_ones(task):
    network, method = task.network, parse_method("clnp").create({"clnp": {"margin": 0.1}})[1]
    before = network.layers[0].weight.detach().clone()
    method.after_task(task)
    below, own = method.stable
    assert torch.equal(network.layers[0].weight[below], before[below])
    assert not torch.isclose(network.layers[0].weight[~below], before[~below]).any(dim=1).all()
    assert (network.layers[1].weight[own][:, ~below] == 0).all()
    assert (network.readout_weight[:, ~own] == 0).all()
    counted = [{"stable": int(s.sum()), "reused": 0, "free": int((~s).sum())} for s in method.stable]
    assert method.report() == {"units": counted}
    anchors = [layer.weight.detach().clone() for layer in network.layers]
    old = network.readout_weight.detach().clone()
    network.add_classes(["d"], LEARNING)
    step = Step(network, LEARNING, [method])
    for _ in range(3):
        step(task.u, torch.full_like(task.y, 3), task)
    for layer, anchor, stable in zip(network.layers, anchors, method.stable, strict=True):
        assert torch.equal(layer.weight[stable], anchor[stable])
        assert not torch.equal(layer.weight[~stable], anchor[~stable])
    assert torch.equal(network.readout_weight[:3], old)


def test_loss_has_the_codes_length(task):
    _, codes = task.network.hidden_of(task.u)
    batch = Batch(task.u, task.y, [], codes, task.u)
    method = parse_method("clnp").create({"clnp": {"l1": 0.3}})[1]
    expected = 1.5 + 0.3 * sum(float(z.detach().sum()) / 40 for z in codes)
    assert method.loss(torch.tensor(1.5), batch, task).item() == pytest.approx(expected, rel=1e-5)


def test_units_are_reported():
    run = train("digits", method="sdmlp+clnp", hidden=(24,), epochs=1, until_task=2, density=0.2, device="cpu")
    first, second = (task["units"][0] for task in run.metrics["tasks"])
    assert first["stable"] + first["free"] == second["stable"] + second["free"] == 24
    assert second["stable"] >= first["stable"] >= second["reused"]
    assert first["reused"] == 0


@pytest.mark.parametrize(("option", "told"), [("l1", "l1 must not be"), ("margin", r"margin must be in \[0, 1\)")])
def test_refusals(option, told):
    with pytest.raises(OptionError, match=told):
        TrainConfig(method="clnp", settings={"clnp": {option: -1.0}})
