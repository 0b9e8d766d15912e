"""Each method against an independent small computation of its own formula."""

import dataclasses
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from resumption import assert_resumes
from scipy.special import log_softmax

from ssd_edge.comparison.rows import make_rows
from ssd_edge.methods import METHODS, parse_method
from ssd_edge.methods.method import Batch, Task
from ssd_edge.model import TopKNetwork
from ssd_edge.training import train
from ssd_edge.training.step import Step
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import LearningOptions


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

    o = {"temperature": 0.25, "alpha": 0.5, "lambda_hidden": 0.1, "kl": "student-teacher"} | options
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


class TestRegularizers:
    """Importance by a loop over samples with autograd; the library has no such loop."""

    @pytest.fixture
    def task(self, student_and_teacher):
        student, teacher = student_and_teacher
        u = torch.nn.functional.normalize(torch.rand(6, 12, generator=torch.Generator().manual_seed(0)))
        return Task(2, u, torch.arange(6) % 4, student, teacher.frozen_copy(), [], 0)

    def by_sample(self, task, loss_of, f):
        network = task.network
        total = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
        for n in range(len(task.u)):
            loss = loss_of(network.readout(network.codes_of(task.u[n : n + 1])[-1])[0])
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            for name, gradient in zip(total, gradients, strict=True):
                total[name] += f(gradient) / len(task.u)
        return total

    def assert_same(self, found, expected):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert value.abs().sum() > 0
            torch.testing.assert_close(found[name], value)

    def test_ewc_fisher(self, task):
        method = parse_method("ewc").create({"ewc": {"beta": 0.3}})[1]

        def loss_of(logits):
            p = torch.exp(0.3 * logits) / torch.exp(0.3 * logits).sum()
            return -torch.log(p[logits.argmax()])

        self.assert_same(method.fisher(task), self.by_sample(task, loss_of, torch.square))

    def test_mas_sensitivity(self, task):
        method = parse_method("mas").create({})[1]
        expected = self.by_sample(task, lambda logits: (logits**2).sum(), torch.abs)
        self.assert_same(method.sensitivity(task), expected)

    def test_ewc_penalty_sums_over_tasks_and_ignores_later_classes(self, task):
        method = parse_method("ewc").create({"ewc": {"strength": 3.0}})[1]
        expected, generator = 0.0, torch.Generator().manual_seed(9)
        history = []
        for _ in range(2):
            fisher = method.fisher(task)
            history.append((fisher, {n: p.detach().clone() for n, p in task.network.named_parameters()}))
            method.after_task(task)
            for p in task.network.parameters():
                p.data += 0.3 * torch.rand(p.shape, generator=generator)
            task.network.add_classes([f"new{len(task.network.classes)}"])
        now = dict(task.network.named_parameters())
        for fisher, anchor in history:
            for name, f in fisher.items():
                expected += 3.0 * (f * (now[name].detach()[: len(f)] - anchor[name]) ** 2).sum().item()
        loss = method.loss(torch.zeros(()), Batch(task.u, task.y, [], [], task.u), task)
        assert loss.item() == pytest.approx(expected, rel=1e-3)
        loss.backward()
        name = "layers.0.weight"
        slope = sum(6.0 * f[name] * (now[name].detach() - anchor[name]) for f, anchor in history)
        torch.testing.assert_close(now[name].grad, slope, rtol=1e-3, atol=1e-7)

    def test_mas_anchors_all_importance_anew(self, task):
        method = parse_method("mas").create({"mas": {"strength": 2.0}})[1]
        first = method.sensitivity(task)
        method.after_task(task)
        task.network.readout_weight.data += 0.1
        second = method.sensitivity(task)
        method.after_task(task)
        assert method.pull.penalty(task.network).item() == pytest.approx(0.0, abs=1e-4)
        task.network.readout_weight.data += 0.5
        expected = 2.0 * 0.25 * (first["readout_weight"] + second["readout_weight"]).sum().item()
        loss = method.loss(torch.zeros(()), Batch(task.u, task.y, [], [], task.u), task)
        assert loss.item() == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize("combination", ["sdmlp+si", "si"])
    def test_si_path_integral(self, task, combination):
        """Against the sum of gradient times step, the gradients taken anew by dense autograd."""
        methods = parse_method(combination).create({"si": {"damping": 0.05, "strength": 0.7}})
        network, method = task.network, methods[1]
        task.teacher = None
        step = Step(network, LearningOptions(learning_rate=0.3, distill=None, nonnegative=False), methods)
        for number in range(2):
            method.before_task(task)
            start = {n: p.detach().clone() for n, p in network.named_parameters()}
            path = {n: torch.zeros_like(p) for n, p in start.items()}
            for seed in range(4):
                u = torch.nn.functional.normalize(torch.rand(8, 12, generator=torch.Generator().manual_seed(seed)))
                y = torch.arange(8) % 4
                logits = torch.func.functional_call(
                    NoSparse(network), {f"network.{n}": p for n, p in network.named_parameters()}, (u,)
                )
                task_loss = torch.nn.functional.cross_entropy(logits, y)
                gradients = torch.autograd.grad(task_loss, list(network.parameters()))
                before = {n: p.detach().clone() for n, p in network.named_parameters()}
                step(u, y, task)
                for (name, p), g in zip(network.named_parameters(), gradients, strict=True):
                    path[name] -= g * (p.detach() - before[name])
            moved = {n: p.detach() - start[n] for n, p in network.named_parameters()}
            importance = {n: path[n].clamp(min=0) / (m**2 + 0.05) for n, m in moved.items()}
            previous = {n: method.pull.importance.get(n, torch.zeros_like(i)) for n, i in importance.items()}
            method.after_task(task)
            for name, value in importance.items():
                torch.testing.assert_close(
                    method.pull.importance[name] - previous[name], value, rtol=2e-2, atol=2e-5
                )
            task.teacher = network.frozen_copy()
            assert number == 1 or method.pull.importance["readout_weight"].sum() > 0

    def test_lwf_loss(self, student_and_teacher):
        student, teacher = student_and_teacher
        u = torch.nn.functional.normalize(torch.rand(9, 12, generator=torch.Generator().manual_seed(0)))
        _, codes = student.hidden_of(u)
        batch = Batch(u, torch.zeros(9, dtype=torch.int64), [], codes, student.readout(codes[-1]))
        task = Task(2, u, batch.y, student, teacher.frozen_copy(), [], 0)
        method = parse_method("lwf").create({"lwf": {"strength": 0.6, "temperature": 3.0}})[1]
        s, t = numpy_forward(student, u.numpy())[2], numpy_forward(teacher, u.numpy())[2]
        expected = 1.5 + 0.6 * kl(t, s[:, :2], 3.0)
        assert method.loss(torch.tensor(1.5), batch, task).item() == pytest.approx(expected, rel=1e-4)


class NoSparse(torch.nn.Module):
    """The network on preprocessed samples, with ordinary gradients."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, u):
        for layer in self.network.layers:
            a = torch.relu(u @ layer.weight.T)
            u = torch.relu(a - torch.topk(a.detach(), layer.k + 1, dim=1).values[:, -1:])
        return u @ self.network.readout_weight.T


class TestFlyModel:
    def test_projection_is_binary_and_sparse(self):
        method = parse_method("flymodel").create({"flymodel": {"connections": 0.25}})[0]
        weight = method.initial_weight(30, 16, torch.Generator().manual_seed(0), True)
        assert ((weight > 0).sum(1) == 4).all()
        assert torch.allclose(weight[weight > 0], torch.tensor(0.5))

    def test_only_the_own_class_learns_and_weights_stop_at_one(self, student_and_teacher):
        student, _ = student_and_teacher
        student.readout_weight.data.fill_(0.2)
        u = torch.nn.functional.normalize(torch.rand(5, 12, generator=torch.Generator().manual_seed(0)))
        y = torch.tensor([0, 2, 2, 0, 2])
        activations, codes = student.hidden_of(u)
        method = parse_method("flymodel").create({"flymodel": {"rate": 2.0}})[0]
        assert method.learn(Batch(u, y, activations, codes, u), Task(1, u, y, student, None, [], 0))
        z = numpy_forward(student, u.numpy())[1][-1]
        expected = np.full((4, 15), 0.2, np.float32)
        for sample, label in zip(z, y.numpy(), strict=True):
            expected[label] += 2.0 * sample / sample.max()
        np.testing.assert_allclose(student.readout_weight.detach(), expected.clip(max=1), rtol=1e-5)
        assert expected.max() > 1

    def test_order_of_tasks_does_not_matter(self):
        first, second = (train("digits", method="flymodel", class_order=o, hidden=(60,)) for o in (None, 5))
        names = list(map(first.network.classes.index, second.network.classes))
        assert names != sorted(names)
        torch.testing.assert_close(first.network.readout_weight[names], second.network.readout_weight)


@pytest.mark.parametrize("method", ["ewc", "si", "mas", "lwf", "ssd+ewc", "sdmlp+si", "ssd+mas+lwf"])
def test_combinations_train_and_resume(tmp_path, method):
    options = {"method": method, "hidden": (24,), "epochs": 1, "until_task": 3, "device": "cpu"}
    assert_resumes(tmp_path / "run", options)


@pytest.mark.parametrize("method", ["ewc", "si", "mas", "lwf"])
def test_strength_matters(method):
    strengths = (0.0, 1000.0 if method != "lwf" else 10.0)
    beta = {"beta": 1.0} if method == "ewc" else {}
    options = {"method": method, "hidden": (24,), "epochs": 5, "until_task": 2, "lr": 0.01}
    free, held = (train("digits", **options, **{method: {"strength": s} | beta}) for s in strengths)
    plain = train("digits", **(options | {"method": "finetune"}))
    torch.testing.assert_close(free.network.readout_weight, plain.network.readout_weight, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(held.network.readout_weight, plain.network.readout_weight, rtol=1e-3)


DOCS = Path(__file__).parents[3] / "docs"
LAB = DOCS / "lab"


def test_the_page_names_every_method_and_option():
    page = (DOCS / "reference" / "methods.md").read_text()
    for name, method in METHODS.items():
        assert f"`{name}`" in page, name
        for item in dataclasses.fields(method.Options):
            assert f"`{name}.{item.name}`" in page, f"{name}.{item.name}"


def test_the_new_method_of_contributing_works(monkeypatch):
    code = (DOCS.parent / "CONTRIBUTING.md").read_text().split("```python\n")[1].split("```")[0]
    namespace = {"__name__": "anchor"}
    exec(compile(code, "CONTRIBUTING.md", "exec"), namespace)
    monkeypatch.setitem(METHODS, "anchor", namespace["Anchor"])
    options = {"hidden": (24,), "epochs": 2, "until_task": 2}
    free = train("digits", method="sdmlp", **options).network
    held = train("digits", method="sdmlp+anchor", anchor={"strength": 100.0}, **options).network
    first = train("digits", method="sdmlp", **(options | {"until_task": 1})).network

    def moved(network):
        return (network.layers[0].weight - first.layers[0].weight).norm().item()

    assert moved(held) < 0.5 * moved(free)


def test_the_ablations_are_rows():
    values = tomllib.loads((LAB / "ablations" / "ssd.toml").read_text())
    rows = make_rows(
        {k: v for k, v in values.items() if k not in ("row", "methods")}, values["methods"], values["row"]
    )
    assert len(rows) == len(values["row"]) + len(values["methods"]) + 2


def test_ablations_differ_from_the_published_settings_in_the_hold_out_alone():
    own = tomllib.loads((LAB / "ablations" / "ssd.toml").read_text())
    published = tomllib.loads((LAB / "results" / "ssd.toml").read_text())
    assert own.pop("hold_out") > 0.0
    assert own | {"row": []} == published | {"row": []}
