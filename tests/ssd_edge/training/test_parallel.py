"""Two processes under torchrun give what one gives with the whole batch."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from encoders import encoder_model

from ssd_edge.methods import Task, parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run, train
from ssd_edge.training.cuda_graph import GraphStep, can_capture
from ssd_edge.training.step import Step
from ssd_edge_runtime.options import LearningOptions

GRADIENT = {"method": "ssd+ewc", "hidden": "32", "epochs": "1", "until_task": "2", "batch_size": "45"}
ANALYTIC = {"readout": "analytic", "hidden": "40", "epochs": "1", "until_task": "3", "base_tasks": "2"}


@pytest.mark.slow
@pytest.mark.parametrize("options", [GRADIENT, ANALYTIC])
def test_two_processes_equal_one(tmp_path, options):
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ssd_edge", "train", "digits", *flags, "--device", "cpu", "-o", "run"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("average accuracy") == 1
    plain = {n: (int(v) if v.isdecimal() else v) for n, v in options.items()}
    alone, together = train("digits", device="cpu", **plain), Run.load(tmp_path / "run")
    for name, value in alone.network.state_dict().items():
        found = together.network.state_dict()[name]
        if value.dtype == torch.int64:
            assert torch.equal(found, value), name
        elif "readout" not in name or "readout" not in options:
            torch.testing.assert_close(found, value, rtol=1e-4, atol=1e-5)
    assert together.network.samples_seen == alone.network.samples_seen
    if alone.statistics is not None:
        # Codes of float32 weights that agree to 1e-5; see below for equal weights.
        np.testing.assert_allclose(together.statistics.gram, alone.statistics.gram, rtol=1e-2, atol=1e-2)
        assert np.array_equal(together.statistics.class_counts, alone.statistics.class_counts)


@pytest.mark.slow
def test_embeddings_are_made_by_the_main_process(tmp_path):
    (tmp_path / "own.onnx").write_bytes(encoder_model(24).SerializeToString())
    options = {"method": "random", "hidden": "40", "until_task": "2", "encoder": str(tmp_path / "own.onnx")}
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ssd_edge", "train", "digits", *flags, "--device", "cpu", "-o", "run"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    together = Run.load(tmp_path / "run")
    alone = train("digits", device="cpu", **{**options, "hidden": 40, "until_task": 2})
    assert together.metrics["accuracy_matrix"] == alone.metrics["accuracy_matrix"]
    assert together.encoder == alone.encoder
    assert len(list((tmp_path / "embeddings.cache").rglob("*.npy"))) == 8


@pytest.mark.slow
def test_statistics_of_fixed_features_are_exact(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ssd_edge", "train", "digits", "--method", "random", "--hidden", "40", "--device", "cpu"]
    result = subprocess.run([*command, "-o", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    alone, together = train("digits", method="random", hidden=(40,), device="cpu"), Run.load(tmp_path / "run")
    np.testing.assert_allclose(together.statistics.gram, alone.statistics.gram, rtol=1e-12)
    np.testing.assert_allclose(together.statistics.class_sums, alone.statistics.class_sums, rtol=1e-12)
    assert together.metrics["accuracy_matrix"] == alone.metrics["accuracy_matrix"]


class TestGraphStep:
    """Without a GPU: the bookkeeping around a recording, and what happens where none can be made."""

    @pytest.fixture
    def pair(self):
        generator = torch.Generator().manual_seed(0)
        u = torch.nn.functional.normalize(torch.rand(40, 12, generator=generator))
        y = torch.randint(4, (40,), generator=generator)

        def make():
            network = TopKNetwork.create((12,), [20], [4], seed=2)
            network.add_classes(list("abcd"), LearningOptions())
            step = Step(network, LearningOptions(distill=None), parse_method("sdmlp").create({}), counting=False)
            return step, Task(1, u, y, network, None, [], 0)

        return make

    BATCHES = tuple(torch.randperm(40, generator=torch.Generator().manual_seed(s))[:8] for s in range(9))

    def test_replays_take_each_batch_from_the_same_memory(self, pair):
        (eager, task), (recorded, same) = pair(), pair()
        recordings = []

        def capture(body):
            recordings.append(body)
            return body

        graph = GraphStep(recorded, same, 8, capture)
        for batch in (*self.BATCHES, self.BATCHES[0][:5]):
            eager.learn(task, batch)
            graph.learn(batch)
        assert len(recordings) == 1
        assert torch.equal(recorded.network.readout_weight, eager.network.readout_weight)

    def test_where_recording_fails_steps_go_on_as_usual(self, pair):
        (eager, task), (recorded, same) = pair(), pair()

        def capture(body):
            raise RuntimeError("operation not permitted when stream is capturing")

        graph = GraphStep(recorded, same, 8, capture)
        with pytest.warns(UserWarning, match="no CUDA graph, training runs step by step .operation not permitted"):
            for batch in self.BATCHES:
                eager.learn(task, batch)
                graph.learn(batch)
        assert torch.equal(recorded.network.layers[0].weight, eager.network.layers[0].weight)

    def test_not_on_the_cpu(self, pair):
        assert not can_capture(pair()[0])
