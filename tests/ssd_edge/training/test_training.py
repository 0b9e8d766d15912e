"""The step, the trainer, checkpoints and metrics."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

import ssd_edge
from ssd_edge.data import Dataset
from ssd_edge.methods import Task, parse_method
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Interrupted, Run, TrainConfig, metrics, resume, train
from ssd_edge.training.statistics import gather
from ssd_edge.training.step import Step
from ssd_edge.training.task_data import Part
from ssd_edge.training.toml import read_toml, write_toml
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.options import LearningOptions

SMALL = {"hidden": (32,), "epochs": 2, "device": "cpu"}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make_task(network, teacher=None, selected=()):
    return Task(2, torch.empty(0), torch.empty(0), network, teacher, list(selected), 0)


def random_batch(seed, classes=4, width=12):
    generator = torch.Generator().manual_seed(seed)
    u = functional.normalize(torch.rand(16, width, generator=generator))
    return u, torch.randint(classes, (16,), generator=generator)


class TestStep:
    """Against a hand-written step: dense autograd, then clip, SGD, clamp, normalize."""

    def reference(self, weights, readout, u, y, k, options, loss_of):
        weights = [w.clone().requires_grad_() for w in weights]
        readout = readout.clone().requires_grad_()
        z, codes = u, []
        for w, n in zip(weights, k, strict=True):
            a = torch.relu(z @ w.T)
            z = torch.relu(a - torch.sort(a.detach(), dim=1, descending=True).values[:, n : n + 1])
            codes.append(z)
        loss = loss_of(z @ readout.T, codes)
        gradients = torch.autograd.grad(loss, [*weights, readout])
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        scale = min(1.0, options.clip_norm / (float(norm) + 1e-6))
        rate = options.learning_rate * scale
        moved = [p - rate * g for p, g in zip([*weights, readout], gradients, strict=True)]
        if options.nonnegative:
            moved = [p.clamp(min=0) for p in moved]
        return [m / m.norm(dim=1, keepdim=True) for m in moved[:-1]], moved[-1].detach()

    @pytest.mark.parametrize("nonnegative", [True, False])
    @pytest.mark.parametrize("sparse", [True, False])
    @pytest.mark.parametrize("clip_norm", [0.01, 100.0])
    def test_cross_entropy_step(self, nonnegative, sparse, clip_norm):
        options = LearningOptions(learning_rate=0.5, clip_norm=clip_norm, nonnegative=nonnegative, distill=None)
        network = TopKNetwork.create((12,), [20, 15], [4, 3], seed=2, nonnegative=nonnegative)
        network.add_classes(list("abcd"))
        network.readout_weight.data = torch.rand(4, 15, generator=torch.Generator().manual_seed(1))
        step = Step(network, options, parse_method("sdmlp").create({}))
        for layer in network.layers:
            layer.sparse_backward = sparse
        for seed in range(5):
            u, y = random_batch(seed)
            before = [layer.weight.detach().clone() for layer in network.layers]
            expected = self.reference(
                before,
                network.readout_weight.detach(),
                u,
                y,
                [4, 3],
                options,
                lambda logits, codes, y=y: functional.cross_entropy(logits, y),
            )
            step(u, y, make_task(network))
            for layer, weight in zip(network.layers, expected[0], strict=True):
                torch.testing.assert_close(layer.weight.detach(), weight, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(network.readout_weight.detach(), expected[1], rtol=1e-5, atol=1e-6)

    def test_pruned_weights_stay_zero_and_do_not_count_for_the_clip(self):
        def run(width):
            network = TopKNetwork.create((12,), [20], [4], seed=2)
            network.add_classes(list("abcd"))
            mask = torch.zeros(20, 12, dtype=torch.bool)
            mask[:, :6] = True
            if width == 12:
                network.layers[0].mask = mask
                network.apply_masks()
            else:
                network = TopKNetwork([network.layers[0].weight[:, :6]], [4], (6,))
                network.add_classes(list("abcd"))
            step = Step(network, LearningOptions(clip_norm=0.1, distill=None), parse_method("sdmlp").create({}))
            for seed in range(4):
                u, y = random_batch(seed)
                step(u[:, :width], y, make_task(network))
            return network.layers[0].weight.detach()

        masked, narrow = run(12), run(6)
        assert torch.equal(masked[:, 6:], torch.zeros(20, 6))
        torch.testing.assert_close(masked[:, :6], narrow)

    def test_rows_of_silent_neurons_do_not_move(self):
        network = TopKNetwork.create((12,), [20], [2], seed=2)
        network.add_classes(list("abcd"))
        network.readout_weight.data.uniform_()
        before = network.layers[0].weight.detach().clone()
        u, y = random_batch(0)
        Step(network, LearningOptions(distill=None), parse_method("sdmlp").create({}))(u, y, make_task(network))
        moved = (network.layers[0].weight != before).any(1)
        assert torch.equal(moved, network.layers[0].activation_count > 0)
        assert 0 < moved.sum() < 20


class TestTrainer:
    def test_metrics_and_classes(self):
        run = ssd_edge.train("digits", tasks=5, until_task=3, **SMALL)
        matrix = np.array(run.metrics["accuracy_matrix"])
        assert matrix.shape == (3, 3)
        assert (matrix[np.triu_indices(3, 1)] == 0).all()
        assert run.network.classes == list("012345")
        assert run.metrics["average_accuracy"] == pytest.approx(matrix[-1].mean())
        assert matrix[0, 0] > 0.5

    def test_the_matrix_is_what_the_network_answers(self):
        run = train("digits", tasks=2, class_order=3, **SMALL)
        data = run.test_data()
        right = run.network(torch.from_numpy(data.x)).argmax(1).numpy() == data.y
        per_task = [right[data.y < 5].mean(), right[data.y >= 5].mean()]
        assert run.metrics["accuracy_matrix"][-1] == pytest.approx(per_task)

    def test_counts_are_of_the_trained_network(self):
        run = train("digits", tasks=1, **SMALL)
        data = run.training_data()
        fired = run.network.codes(torch.from_numpy(data.x))[0] > 0
        layer = run.network.layers[0]
        assert layer.activation_count.tolist() == fired.sum(0).tolist()
        assert run.network.class_samples.tolist() == data.counts().tolist()
        assert (run.network.task_samples, int(layer.task_count.sum())) == (0, 0)
        assert set(run.selected[0].tolist()) <= set(torch.topk(layer.activation_count, 12).indices.tolist())

    @pytest.mark.parametrize("method", ["ssd", "sdmlp", "finetune", "joint", "random"])
    @pytest.mark.parametrize("readout", ["gradient", "analytic"])
    def test_every_method_learns(self, method, readout):
        run = train("digits", tasks=2, method=method, readout=readout, hidden=(64,), epochs=15)
        assert run.metrics["accuracy_matrix"][0][0] > 0.5
        assert len(run.metrics["accuracy_matrix"]) == (1 if method == "joint" else 2)

    def test_random_features_do_not_move(self):
        run = train("digits", method="random", readout="gradient", seed=4, **SMALL)
        fresh = TopKNetwork.create((1, 8, 8), [32], [10], seed=4)
        assert torch.equal(run.network.layers[0].weight, fresh.layers[0].weight)

    def test_seed_changes_the_run_and_repeats_it(self):
        first, again, other = (train("digits", tasks=1, seed=s, **SMALL).network.readout_weight for s in (0, 0, 1))
        assert torch.equal(first, again) and not torch.equal(first, other)

    def test_inhibition_completes_in_the_first_task(self):
        run = train("digits", tasks=2, hidden=(32,), epochs=10)
        layer = run.network.layers[0]
        assert layer.switch == pytest.approx(0.2 * 10 * 719, rel=0.01)
        assert (layer.gate(layer.switch) > 0).float().mean() > 0.9

    def test_one_class_tasks_and_hold_out(self):
        run = train("digits", tasks=10, hold_out=0.1, method="random", hidden=(100,))
        held = run.metrics["hold_out"]
        assert len(held["accuracy_matrix"]) == 10
        assert 0.7 < held["average_accuracy"] <= 1
        assert run.statistics.class_counts.sum() < 1438
        assert len(run.training_data()) == 1438

    def test_analytic_after_the_base_equals_one_pass_over_everything(self):
        run = train("digits", readout="analytic", base_tasks=2, hidden=(100,), epochs=2)
        data = run.training_data()
        part = Part(run.network.preprocess(torch.from_numpy(data.x)), torch.from_numpy(data.y))
        once = gather(run.network, [part])
        np.testing.assert_allclose(run.statistics.gram, once.gram, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(run.statistics.class_sums, once.class_sums, rtol=1e-9, atol=1e-9)
        assert run.metrics["average_accuracy"] > 0.8

    def test_center_is_the_mean_of_the_first_task_only(self):
        run = train("digits", tasks=5, until_task=2, center=True, **SMALL)
        data = run.training_data()
        first = data.x[data.y < 2].reshape(-1, 64)
        np.testing.assert_allclose(run.network.center, first.mean(0), rtol=1e-5, atol=1e-6)

    def test_options_win_over_a_configuration(self):
        config = TrainConfig(method="ssd", until_task=1, settings={"ssd": {"alpha": 0.5}}, **SMALL)
        run = train("digits", config, seed=3, ssd={"temperature": 2.0})
        assert (run.config.data, run.config.hidden, run.config.seed) == ("digits", (32,), 3)
        assert run.config.settings["ssd"] == {"alpha": 0.5, "temperature": 2.0}
        same = train("digits", method="ssd", until_task=1, seed=3, ssd={"temperature": 2.0, "alpha": 0.5}, **SMALL)
        assert torch.equal(run.network.layers[0].weight, same.network.layers[0].weight)
        with pytest.raises(OptionError, match="train: no option 'epoch'; there are data, data_root"):
            train("digits", config, epoch=3)

    def test_arrays_in_memory(self, tmp_path):
        rng = np.random.default_rng(0)
        data = Dataset(rng.random((60, 5), dtype=np.float32), np.arange(60) % 3, ("a", "b", "c"))
        run = train(data, output=tmp_path / "run", tasks=3, **SMALL)
        assert run.training_data().classes == ("a", "b", "c")
        with pytest.raises(DataError, match="trained on arrays in memory"):
            Run.load(tmp_path / "run").training_data()


class TestRunFolder:
    def test_round_trip(self, tmp_path):
        run = train("digits", output=tmp_path / "run", readout="analytic", until_task=2, **SMALL)
        again = Run.load(tmp_path / "run")
        assert again.config == run.config
        assert again.metrics == run.metrics
        assert again.learning == run.learning and again.analytic == run.analytic
        assert np.array_equal(again.statistics.gram, run.statistics.gram)
        x = torch.from_numpy(again.test_data().x)
        assert torch.equal(again.network(x), run.network(x))
        assert (tmp_path / "run" / "accuracy_matrix.png").stat().st_size > 1000

    def test_teacher_of_a_finished_run_is_the_network(self, tmp_path):
        run = train("digits", output=tmp_path / "run", until_task=2, **SMALL)
        again = Run.load(tmp_path / "run")
        assert torch.equal(again.teacher.layers[0].weight, run.network.layers[0].weight)
        assert [chosen.tolist() for chosen in again.selected] == [chosen.tolist() for chosen in run.selected]

    def test_existing_folder_is_refused_unless_forced(self, tmp_path):
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.txt").write_text("years of work")
        with pytest.raises(DataError, match="exists already; go on with --resume or replace it with --force"):
            train("digits", output=tmp_path / "run", **SMALL)
        with pytest.raises(DataError, match="not a run folder, and not empty"):
            train("digits", output=tmp_path / "run", force=True, **SMALL)
        assert (tmp_path / "run" / "thesis.txt").exists()

    def test_missing_and_half_written(self, tmp_path):
        with pytest.raises(DataError, match="no such run folder"):
            Run.load(tmp_path / "none")
        train("digits", output=tmp_path / "run", until_task=1, **SMALL)
        (tmp_path / "run" / "model.safetensors").unlink()
        with pytest.raises(DataError, match="not finished: go on with ssd-edge train --resume"):
            Run.load(tmp_path / "run")
        (tmp_path / "run" / "model.safetensors").write_bytes(b"half")
        with pytest.raises(DataError, match="not a safetensors file"):
            Run.load(tmp_path / "run")


class TestResume:
    def stop_after(self, steps):
        def progress(done, total):
            if done >= steps:
                raise Interrupted

        return progress

    @pytest.mark.parametrize("method", ["ssd", "sdmlp"])
    @pytest.mark.parametrize("readout", ["gradient", "analytic"])
    @pytest.mark.parametrize("steps", [1, 5, 12, 13, 17])
    def test_bit_identical(self, tmp_path, method, readout, steps):
        options = SMALL | {"tasks": 5, "until_task": 3, "method": method, "readout": readout, "seed": 3}
        whole = train("digits", **options)
        with pytest.raises(Interrupted):
            train(
                "digits", output=tmp_path / "run", checkpoint_seconds=0, progress=self.stop_after(steps), **options
            )
        run = resume(tmp_path / "run")
        for name, value in whole.network.state_dict().items():
            assert torch.equal(run.network.state_dict()[name], value), name
        assert run.metrics["accuracy_matrix"] == whole.metrics["accuracy_matrix"]
        assert [s.tolist() for s in run.selected] == [s.tolist() for s in whole.selected]

    def test_stopped_before_the_first_checkpoint(self, tmp_path):
        with pytest.raises(Interrupted):
            train("digits", output=tmp_path / "run", progress=self.stop_after(1), until_task=1, **SMALL)
        whole = train("digits", until_task=1, **SMALL)
        assert torch.equal(resume(tmp_path / "run").network.readout_weight, whole.network.readout_weight)

    @pytest.mark.parametrize("options", [{}, {"readout": "analytic", "base_tasks": 2}])
    def test_further_tasks(self, tmp_path, options):
        whole = train("digits", until_task=4, **SMALL, **options)
        train("digits", output=tmp_path / "run", until_task=2, **SMALL, **options)
        run = resume(tmp_path / "run", until_task=4)
        assert torch.equal(run.network.readout_weight, whole.network.readout_weight)
        assert run.metrics["accuracy_matrix"] == whole.metrics["accuracy_matrix"]

    def test_nothing_to_resume(self, tmp_path):
        with pytest.raises(DataError, match="no run to resume"):
            resume(tmp_path / "run")

    def test_damaged_checkpoint(self, tmp_path):
        train("digits", output=tmp_path / "run", until_task=1, **SMALL)
        (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"x" * 100)
        with pytest.raises(DataError, match="not a safetensors file"):
            resume(tmp_path / "run", until_task=2)


class TestConfig:
    def test_toml_round_trip(self, tmp_path):
        settings = {"ssd": {"temperature": 2.0, "kl": "teacher-student"}}
        config = TrainConfig('da"ta\\é', hidden=(20, 10), class_order=("b", "a"), settings=settings).resolved()
        config.save(tmp_path / "config.toml")
        assert TrainConfig.load(tmp_path / "config.toml") == config

    def test_writer_writes_what_tomllib_reads(self, tmp_path):
        values = {"a": 1, "b": -1e-300, "c": True, "d": "x\n\t\x7f", "e": [1, 2], "f": [], "t": {"g": "h"}}
        write_toml(tmp_path / "x.toml", values)
        assert read_toml(tmp_path / "x.toml") == values

    def test_defaults_follow_readout_and_method(self):
        gradient, analytic = (TrainConfig("digits", readout=r).resolved() for r in ("gradient", "analytic"))
        assert (gradient.k, gradient.center, gradient.nonnegative) == ((10,), False, True)
        assert (analytic.k, analytic.center, analytic.nonnegative) == ((100,), True, False)
        plain = TrainConfig("digits", method="finetune").resolved()
        assert (plain.k, plain.nonnegative) == ((999,), False)
        assert TrainConfig("digits", method="random").resolved().readout == "analytic"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"method": "foo"}, "method must be one of ssd, .*, got 'foo'"),
            ({"method": "ssd+sdmlp"}, "joins two networks: ssd, sdmlp"),
            ({"k": (1000,)}, r"k must be between 1 and hidden - 1 \(999\), got 1000"),
            ({"hidden": (50, 60), "k": (5, 5, 5)}, r"one k, or one per hidden layer \(2\), got 3"),
            ({"until_task": 6}, "until-task must be at most 5, got 6"),
            ({"until_task": 2, "base_tasks": 3}, "base-tasks must be at most 2, got 3"),
            ({"epochs": 0}, "epochs must be at least 1, got 0"),
            ({"lr": -1.0}, "lr must be positive"),
            ({"settings": {"ssd": {"temprature": 1}}}, "ssd has no option 'temprature'; there are alpha"),
            ({"settings": {"ssd": {"temperature": 0.0}}}, "temperature must be positive"),
            ({"settings": {"ewc": {}}}, "options for 'ewc', but the method is ssd"),
            ({"hold_out": 1.0}, "hold-out must be at least 0 and below 1"),
            ({"readout": "both"}, "readout must be one of gradient, analytic"),
        ],
    )
    def test_rules(self, options, message):
        with pytest.raises(OptionError, match=message):
            TrainConfig("digits", **options)

    def test_unknown_option(self):
        with pytest.raises(OptionError, match="no option 'hiden'; there are data"):
            train("digits", hiden=5)

    def test_configs_are_frozen(self):
        with pytest.raises(dataclasses.FrozenInstanceError):
            TrainConfig("digits").seed = 1


class TestMetrics:
    MATRIX = ((0.9, 0.0, 0.0), (0.7, 0.8, 0.0), (0.4, 0.6, 1.0))

    def test_by_hand(self):
        assert metrics.average_accuracy(self.MATRIX) == pytest.approx((0.4 + 0.6 + 1.0) / 3)
        assert metrics.learning_accuracy(self.MATRIX) == pytest.approx((0.9 + 0.8 + 1.0) / 3)
        assert metrics.backward_transfer(self.MATRIX) == pytest.approx((-0.5 - 0.2) / 2)
        assert metrics.forgetting(self.MATRIX) == pytest.approx((0.5 + 0.2) / 2)

    def test_one_task_and_joint(self):
        assert metrics.summarize([[0.5]])["forgetting"] is None
        joint = metrics.summarize([[0.5, 0.7]])
        assert joint["average_accuracy"] == pytest.approx(0.6) and joint["backward_transfer"] is None
