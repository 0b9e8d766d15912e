"""Step rules against loops over entries, written from their formulas."""

import numpy as np
import pytest
import torch
from resumption import assert_resumes

from ssd_edge.methods import parse_method
from ssd_edge.methods.method import Task
from ssd_edge.model import TopKNetwork, random_support
from ssd_edge.training import TrainConfig
from ssd_edge.training.step import Step
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import LearningOptions


def adagrad(g, s, lr):
    s += g * g
    return max(-0.05, min(0.05, lr * g / (0.2 + s) ** 0.5)), s


def classp(g, s, lr):
    if g * g <= 1e-6:
        return 0.0, s
    s += abs(g) ** 2.0
    return lr * g / (1e-3 + s) ** 0.5, s


RULES = {
    "adagrad": (adagrad, {"initial": 0.2, "largest": 0.05}),
    "classp": (classp, {"threshold": 1e-6, "epsilon": 1e-3, "power": 2.0}),
}


@pytest.mark.parametrize("name", RULES)
def test_steps(name):
    """Three steps of a masked layer and V: dense autograd, clip, then entry by entry."""
    rule, options = RULES[name]
    generator = torch.Generator().manual_seed(0)
    mask = random_support(15, 12, 0.5, generator)
    weight = torch.nn.functional.normalize(torch.randn(15, 12, generator=generator) * mask)
    network = TopKNetwork([weight], [4], (12,), masks=[mask])
    learning = LearningOptions(learning_rate=0.2, clip_norm=0.1, distill=None, nonnegative=False)
    network.add_classes(list("abc"), learning)
    step = Step(network, learning, parse_method(name).create({name: options})[1:])
    task = Task(1, torch.empty(0), torch.empty(0), network, None, [], 0)
    w, v = (p.detach().clone() for p in (network.layers[0].weight, network.readout_weight))
    sums = [np.zeros(w.shape), np.zeros(v.shape)]
    for _ in range(3):
        u = torch.nn.functional.normalize(torch.rand(8, 12, generator=generator))
        y = torch.randint(3, (8,), generator=generator)
        w.requires_grad_(), v.requires_grad_()
        a = torch.relu(u @ w.T)
        z = torch.relu(a - torch.sort(a.detach(), dim=1, descending=True).values[:, 4:5])
        grads = torch.autograd.grad(torch.nn.functional.cross_entropy(z @ v.T, y), (w, v))
        grads = [(grads[0] * mask).double().numpy(), grads[1].double().numpy()]
        norm = sum((g**2).sum() for g in grads) ** 0.5
        assert norm > 0.1, "the clip is at work"
        values = [w.detach().double().numpy(), v.detach().double().numpy()]
        moved = grads[0].any(axis=1)
        for g, s, value in zip(grads, sums, values, strict=True):
            for at in np.ndindex(g.shape):
                change, s[at] = rule(g[at] * 0.1 / (norm + 1e-6), s[at], 0.2)
                value[at] -= change
        values[0][moved] /= np.linalg.norm(values[0][moved], axis=1, keepdims=True)
        w, v = (torch.from_numpy(value).float() for value in values)
        step(u, y, task)
        torch.testing.assert_close(network.layers[0].weight.detach(), w, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(network.readout_weight.detach(), v, rtol=1e-4, atol=1e-5)


def test_rules_resume(tmp_path):
    options = {"method": "ssd+adagrad", "hidden": (24,), "epochs": 1, "until_task": 2, "density": 0.2}
    assert_resumes(tmp_path / "run", options | {"device": "cpu"}, after=4)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "ssd+adagrad+classp"}, "methods adagrad and classp both are step rules: choose one"),
        ({"method": "adagrad", "settings": {"adagrad": {"initial": 0.0}}}, "initial must be positive, got 0.0"),
        ({"method": "adagrad", "settings": {"adagrad": {"largest": 0.0}}}, "largest must be positive, got 0.0"),
        ({"method": "classp", "settings": {"classp": {"threshold": -1.0}}}, "threshold must not be negative"),
        ({"method": "classp", "settings": {"classp": {"epsilon": 0.0}}}, "epsilon must be positive, got 0.0"),
        ({"method": "classp", "settings": {"classp": {"power": 0.0}}}, "power must be positive, got 0.0"),
    ],
)
def test_refusals(options, told):
    with pytest.raises(OptionError, match=told):
        TrainConfig(**options)
