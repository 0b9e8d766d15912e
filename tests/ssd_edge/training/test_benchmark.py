"""The two loops of the training benchmark are the same function."""

import json

import pytest
import torch
from click.testing import CliRunner
from torch.utils.data import DataLoader, TensorDataset

from ssd_edge.methods import Task, parse_method
from ssd_edge.training.benchmark import PlainNetwork, PlainTeacher, main, make_pair, plain_epoch
from ssd_edge.training.step import Step
from ssd_edge_runtime.options import LearningOptions


@pytest.mark.parametrize("phase", ["switching", "settled", "distilling"])
def test_both_loops_learn_the_same(phase):
    network, x, y = make_pair("digits", 40, 5, 96)
    network.topk_layers[0].switch = 100.0 if phase == "switching" else None
    plain = PlainNetwork(network)
    task = Task(1, network.preprocess(x), y, network, None, [], 0)
    teacher = None
    if phase == "distilling":
        task.teacher, task.selected = network.frozen_copy(), network.most_frequent()
        network.readout_weight.data.mul_(0.5)
        plain.output.weight.data.mul_(0.5)
        teacher = PlainTeacher(PlainNetwork(task.teacher), task.selected[0])
    method = parse_method("ssd" if phase == "distilling" else "sdmlp").create({})
    for part in method:
        part.before_task(task)
    step = Step(network, LearningOptions(distill=None), method, counting=False)
    network.train()
    for _ in range(3):
        plain_epoch(plain, DataLoader(TensorDataset(x, y), batch_size=32), teacher)
        for batch in torch.split(torch.arange(96), 32):
            step.learn(task, batch)
    torch.testing.assert_close(network.topk_layers[0].weight, plain.hidden.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.readout_weight, plain.output.weight, rtol=1e-4, atol=1e-5)
    assert torch.equal(network.topk_layers[0].inhibition_count, plain.count)


def test_json():
    arguments = ["--data", "digits", "--hidden", "30", "--k", "3", "--samples", "64", "--runs", "1", "--json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    document = json.loads(result.stdout)
    assert [entry["phase"] for entry in document] == ["switching", "settled", "distilling"]
    assert all(entry["samples_per_second"]["plain"] > 0 for entry in document)
