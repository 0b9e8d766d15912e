"""Each method against an independent small computation of its own formula."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from ssd_edge.methods import METHODS, parse_method
from ssd_edge.methods.base import Batch, Task
from ssd_edge.model import TopKNetwork
from ssd_edge_runtime.errors import OptionError


def kl(first, second, temperature):
    p, q = log_softmax(first / temperature, axis=1), log_softmax(second / temperature, axis=1)
    return temperature**2 * np.mean(np.sum(np.exp(p) * (p - q), axis=1))


def numpy_forward(network, u):
    z, activations, codes = u, [], []
    for layer in network.layers:
        a = np.maximum(z @ layer.weight.detach().numpy().T, 0)
        z = np.maximum(a - np.sort(a, axis=1)[:, -layer.k - 1][:, None], 0)
        activations.append(a)
        codes.append(z)
    return activations, codes, z @ network.readout_weight.detach().numpy().T


@pytest.fixture
def student_and_teacher():
    student, teacher = (TopKNetwork.create((12,), [20, 15], [4, 3], seed=s) for s in (1, 2))
    student.add_classes(list("abcd"))
    teacher.add_classes(list("ab"))
    generator = torch.Generator().manual_seed(3)
    for network in (student, teacher):
        network.readout_weight.data = 4 * torch.rand(network.readout_weight.shape, generator=generator)
    return student, teacher


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 1.0, "alpha": 0.3, "lambda_hidden": 0.6},
        {"kl": "teacher-student"},
        {"logit_scope": "seen"},
        {"hidden_stage": "before", "lambda_hidden": 1.0},
    ],
)
def test_ssd_loss(student_and_teacher, options):
    student, teacher = student_and_teacher
    u = torch.nn.functional.normalize(torch.rand(9, 12, generator=torch.Generator().manual_seed(0)))
    activations, codes = student.hidden_of(u)
    batch = Batch(u, torch.zeros(9, dtype=torch.int64), activations, codes, student.readout(codes[-1]))
    selected = [torch.tensor([0, 3, 4, 9]), torch.tensor([1, 2, 14])]
    task = Task(2, u, batch.y, student, teacher.frozen_copy(), selected, 0)
    method = parse_method("ssd").create({"ssd": options})[0]
    total = method.loss(torch.tensor(1.5), batch, task)

    o = {"temperature": 8.0, "alpha": 0.7, "lambda_hidden": 0.1, "kl": "student-teacher"} | options
    s, t = numpy_forward(student, u.numpy()), numpy_forward(teacher, u.numpy())
    order = (lambda a, b: (a, b)) if o["kl"] == "student-teacher" else (lambda a, b: (b, a))
    stage = 0 if options.get("hidden_stage") == "before" else 1
    hidden = sum(
        kl(*order(s[stage][i][:, chosen], t[stage][i][:, chosen]), o["temperature"])
        for i, chosen in enumerate(c.numpy() for c in selected)
    )
    seen = options.get("logit_scope") == "seen"
    padded = t[2] if seen else np.pad(t[2], ((0, 0), (0, 2)))
    logit = kl(*order(s[2][:, :2] if seen else s[2], padded), o["temperature"])
    distillation = o["lambda_hidden"] * hidden + (1 - o["lambda_hidden"]) * logit
    assert total.item() == pytest.approx(o["alpha"] * 1.5 + (1 - o["alpha"]) * distillation, rel=1e-4)


def test_ssd_without_a_teacher_is_cross_entropy(student_and_teacher):
    student, _ = student_and_teacher
    task = Task(1, torch.empty(0), torch.empty(0), student, None, [], 0)
    batch = Batch(torch.empty(0), torch.empty(0), [], [], torch.empty(0))
    assert float(parse_method("ssd").create({})[0].loss(torch.tensor(1.5), batch, task)) == 1.5


def test_names_and_combinations():
    assert all(method.name == name for name, method in METHODS.items())
    with pytest.raises(OptionError, match="names one twice"):
        parse_method("ssd+ssd")
