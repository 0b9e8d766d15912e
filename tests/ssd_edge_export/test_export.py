"""The file that export writes, from runs and from weights trained elsewhere."""

import dataclasses

import numpy as np
import onnx
import pytest
import torch

from ssd_edge.data import Dataset
from ssd_edge.model import TopKNetwork, normalize_rows
from ssd_edge.training import Run, train
from ssd_edge_export import ExportOptions, PruneOptions, Weights, export_model, prune
from ssd_edge_export.export import state_of_run, state_of_weights
from ssd_edge_export.verification.torch_network import network_of
from ssd_edge_export.verification.trial import TOLERANCE, onnxruntime_logits, probe, term_scale, torch_logits
from ssd_edge_export.verification.verification import verify
from ssd_edge_runtime import EdgeModel, analytic, model_file, storage
from ssd_edge_runtime.errors import DataError, EdgeModelError, OptionError
from ssd_edge_runtime.network.engines import CSREngine
from ssd_edge_runtime.network.exact import exact_network

pytestmark = pytest.mark.usefixtures("trial_here")

VALUES = ["float32", "float16", "int8"]


def two_layers(seed=0):
    network = TopKNetwork.create((3, 4), (40, 16), (6, 4), seed=seed, nonnegative=False)
    return [layer.weight.detach() for layer in network.topk_layers]


@pytest.fixture(scope="module")
def made_up():
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, 300)
    x = (rng.standard_normal((300, 3, 4)) + y[:, None, None]).astype(np.float32)
    return Dataset(x, y, ("one", "two", "three"))


def weights_state(values, readout, layers, data, learning_state=True, density=0.3):
    hidden = two_layers()[:layers]
    n = hidden[-1].shape[0]
    matrix = torch.rand(3, n, generator=torch.Generator().manual_seed(1)) if readout == "gradient" else None
    weights = Weights(
        hidden,
        ["one", "two", "three"],
        k=[6, 4][:layers],
        input_shape=(3, 4),
        center=np.linspace(0, 1, 12, dtype=np.float32),
        readout=matrix,
    )
    options = ExportOptions(PruneOptions(density), values, learning_state=learning_state)
    return state_of_weights(weights, options, data=data)


@pytest.mark.parametrize("learning_state", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("readout", ["gradient", "analytic"])
@pytest.mark.parametrize("values", VALUES)
def test_every_engine_gives_the_same_logits(made_up, values, readout, layers, learning_state):
    state = weights_state(values, readout, layers, made_up)
    data = model_file.to_bytes(state, learning_state=learning_state)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    loaded = model_file.from_bytes(data)
    assert loaded.has_learning_state == learning_state
    x = probe(loaded)
    reference = CSREngine(loaded).logits(x)
    assert np.array_equal(reference, CSREngine(state).logits(x))
    for engine in (onnxruntime_logits, torch_logits):
        difference = np.abs(engine(data, loaded, x) - reference).max()
        assert difference <= TOLERANCE * term_scale(loaded, x)


@pytest.mark.parametrize("values", VALUES)
def test_statistics_are_those_of_what_ships(made_up, values):
    state = weights_state(values, "analytic", 2, made_up)
    with torch.no_grad():
        trained = network_of(state).codes(torch.from_numpy(made_up.x))[-1].numpy()
    exact = exact_network(state)
    z = exact.codes(made_up.x.reshape(len(made_up.x), -1))[-1].to_dense()
    np.testing.assert_allclose(z, trained, rtol=0, atol=2 * exact.step)
    gathered = analytic.gather(z, made_up.y, 3)
    np.testing.assert_array_equal(state.statistics.gram, gathered.gram)
    np.testing.assert_array_equal(state.statistics.class_sums, gathered.class_sums)
    weights, bias = analytic.solve(state.statistics, state.analytic)
    np.testing.assert_array_equal(state.readout.weights, model_file.round_values(weights, values))
    np.testing.assert_array_equal(state.readout.bias, bias)
    np.testing.assert_array_equal(state.layers[-1].activation_count, (z > 0).sum(0))


@pytest.mark.parametrize("values", VALUES)
def test_rounding_keeps_the_answers(analytic_run, values):
    test = analytic_run.test_data()
    exact = state_of_run(analytic_run, ExportOptions(values="float32"))
    state = state_of_run(analytic_run, ExportOptions(values=values))
    flat = test.x.reshape(len(test), -1)
    answers = [CSREngine(each).logits(flat).argmax(1) for each in (state, exact)]
    assert np.mean(answers[0] == answers[1]) >= {"float32": 1.0, "float16": 0.99, "int8": 0.97}[values]


def test_run_without_pruning_is_the_run(analytic_run, gradient_run):
    for run in (analytic_run, gradient_run):
        state = state_of_run(run, ExportOptions(values="float32"))
        test = run.test_data()
        with torch.no_grad():
            wanted = run.network(torch.from_numpy(test.x)).numpy()
        found = CSREngine(state).logits(test.x.reshape(len(test), -1))
        scale = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-4 * scale)
        assert state.samples_seen == len(run.training_data())
        assert state.classes == run.network.classes


def test_boundary_of_the_last_task_is_passed(gradient_run):
    state = state_of_run(
        dataclasses.replace(gradient_run, config=dataclasses.replace(gradient_run.config, method="ssd"))
    )
    assert state.teacher is not None and state.teacher.classes == 4
    assert [len(rows) for rows in state.teacher.rows] == [0]
    frequency = np.sort(state.layers[0].activation_count)[::-1]
    assert len(state.teacher.selected[0]) == state.layers[0].k
    assert state.layers[0].activation_count[state.teacher.selected[0]].min() >= frequency[state.layers[0].k - 1]
    assert state.task_samples == 0 and state.layers[0].task_count.sum() == 0


def test_last_task_selects(analytic_run):
    state = state_of_run(analytic_run, ExportOptions(readout="analytic"))
    last = state.layers[0].class_count[2:].sum(0)
    np.testing.assert_array_equal(state.layers[0].task_count, last)
    assert state.task_samples == state.class_samples[2:].sum()


def test_gradient_run_may_ship_an_analytic_readout(gradient_run, tmp_path):
    path = export_model(
        gradient_run, tmp_path / "a.onnx", ExportOptions(prune=PruneOptions(density=0.4), readout="analytic")
    )
    state = model_file.load(path)
    assert state.readout.kind == "analytic" and state.statistics is not None and state.learning is None
    assert state.provenance["readout"] == {"trained": "gradient", "shipped": "analytic"}
    with pytest.raises(OptionError, match="readout must be one of gradient, analytic, got 'linear'"):
        export_model(gradient_run, tmp_path / "a.onnx", ExportOptions(readout="linear"))


def test_analytic_run_has_no_trained_readout(analytic_run, tmp_path):
    with pytest.raises(OptionError, match="trained with the analytic readout, so there is no trained V"):
        export_model(analytic_run, tmp_path / "a.onnx", ExportOptions(readout="gradient"))


def test_hold_out_is_not_in_the_statistics():
    from ssd_edge.training import train

    run = train("digits", method="random", hidden=(20,), k=(4,), until_task=2, hold_out=0.2, device="cpu")
    state = state_of_run(run)
    assert state.samples_seen == run.network.samples_seen < len(run.training_data())
    np.testing.assert_array_equal(state.class_samples, state.statistics.class_counts)


def test_temperature_is_fitted_on_samples_not_solved_from(made_up):
    state = weights_state("float32", "analytic", 1, made_up)
    again = weights_state("float32", "analytic", 1, made_up)
    assert state.temperature == again.temperature != 1.0


def test_provenance_names_the_run(analytic_run, tmp_path):
    state = model_file.load(
        export_model(analytic_run, tmp_path / "m.onnx", ExportOptions(prune=PruneOptions(density=0.2, seed=7)))
    )
    told = state.provenance
    assert (told["data"], told["method"], told["tasks_trained"]) == ("digits", "ssd", 2)
    assert told["prune"]["density"] == 0.2 and told["prune"]["seed"] == 7
    assert told["training"]["k"] == [8] and "torch" in told["versions"]


def test_same_run_same_bytes(analytic_run, tmp_path):
    paths = [
        export_model(analytic_run, tmp_path / f"{i}.onnx", ExportOptions(prune=PruneOptions(density=0.2)))
        for i in (1, 2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    other = export_model(analytic_run, tmp_path / "3.onnx", ExportOptions(prune=PruneOptions(density=0.2, seed=1)))
    assert paths[0].read_bytes() != other.read_bytes()


def test_existing_model_becomes_a_generation(analytic_run, tmp_path):

    path = export_model(analytic_run, tmp_path / "m.onnx")
    export_model(analytic_run, path, ExportOptions(prune=PruneOptions(density=0.2)))
    assert [g.number for g in storage.history(path)] == [2, 1]


def test_weights_from_elsewhere_without_data(tmp_path):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((30, 12)).astype(np.float64)
    readout = rng.standard_normal((2, 30))
    path = export_model(
        Weights(hidden=[hidden], classes=["a", "b"], k=5, readout=readout),
        tmp_path / "own.onnx",
        ExportOptions(values="float32"),
    )
    state = model_file.load(path)
    assert state.input_shape == (12,) and state.temperature == 1.0 and state.samples_seen == 0
    x = rng.standard_normal((20, 12)).astype(np.float32)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    a = np.maximum(u @ hidden.T, 0)
    z = np.maximum(a - np.sort(a, axis=1)[:, -6:-5], 0)
    np.testing.assert_allclose(CSREngine(state).logits(x), z @ readout.T, rtol=1e-4, atol=1e-5)
    assert verify(path).ok


def test_pruned_weights_from_elsewhere_keep_their_support(tmp_path):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((30, 12)) * (rng.random((30, 12)) < 0.25)
    path = export_model(
        Weights(hidden=[hidden], classes=["a", "b"], k=5, readout=np.ones((2, 30))), tmp_path / "own.onnx"
    )
    assert model_file.load(path).layers[0].weights.nonzeros == np.count_nonzero(hidden)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 30}, r"k must be between 1 and hidden - 1 \(29\), got 30"),
        ({"k": [5, 5]}, "one k per hidden layer: 1 layers, 2 values of k"),
        ({"classes": []}, "classes must name at least one class, in the order of logits"),
        ({"classes": ["a", "a"]}, "class names must differ"),
        ({"hidden": []}, "hidden must hold at least one matrix"),
        ({"hidden": [np.full((30, 12), np.nan)]}, r"hidden\[0\] holds NaN or infinity"),
        ({"hidden": [np.ones(12)]}, r"hidden\[0\] must have 2 dimensions"),
        ({"hidden": [np.ones((30, 12)), np.ones((20, 29))], "k": 5}, r"hidden\[1\] takes 29 inputs but gets 30"),
        ({"input_shape": (3, 5)}, r"hidden\[0\] takes 12 inputs but gets 15"),
        ({"center": np.ones(11)}, r"center must have shape \(12,\), got \(11,\)"),
        ({"readout": np.ones((3, 30))}, r"readout must have shape \(2, 30\), got \(3, 30\)"),
        ({"readout": None}, "the analytic readout needs data"),
    ],
)
def test_bad_weights(tmp_path, monkeypatch, change, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((OptionError, DataError), match=message):
        export_model(dataclasses.replace(EYE, **change), "m.onnx")
    assert list(tmp_path.iterdir()) == []


EYE = Weights(hidden=[np.eye(30, 12)], readout=np.ones((2, 30)), classes=["a", "b"], k=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"readout": "analytic"}, "the analytic readout needs data"),
        ({"values": "int4"}, "values must be one of float32, float16, int8, got 'int4'"),
        ({"prune": PruneOptions(density=0.5)}, "pruning a network needs data"),
    ],
)
def test_options_that_weights_alone_do_not_serve(tmp_path, options, message):
    with pytest.raises((OptionError, DataError), match=message):
        export_model(EYE, tmp_path / "m.onnx", ExportOptions(**options))
    assert list(tmp_path.iterdir()) == []


def test_gradient_readout_from_nowhere(tmp_path, made_up):
    weights = Weights(hidden=two_layers(), classes=made_up.classes, k=[6, 4], input_shape=(3, 4))
    with pytest.raises(OptionError, match=r"readout gradient: give the trained \(classes, n\) matrix as readout"):
        export_model(weights, tmp_path / "m.onnx", ExportOptions(readout="gradient"), data=made_up)


def test_trained_weights_may_ship_an_analytic_readout(tmp_path, made_up):
    weights = Weights(two_layers(), made_up.classes, [6, 4], (3, 4), readout=np.ones((3, 16)))
    state = model_file.load(
        export_model(weights, tmp_path / "m.onnx", ExportOptions(readout="analytic"), data=made_up)
    )
    assert state.readout.kind == "analytic" and state.samples_seen == len(made_up)


def test_nothing_is_written_into_a_folder_that_is_not_there():
    with pytest.raises(DataError, match="no/such/folder: no such folder"):
        export_model(EYE, "no/such/folder/m.onnx")


def test_progress_counts_every_pass(analytic_run, tmp_path):
    seen = []
    options = ExportOptions(prune=PruneOptions(density=0.3))
    export_model(analytic_run, tmp_path / "m.onnx", options, progress=lambda *counts: seen.append(counts))
    total = len(analytic_run.training_data())
    passes = [done for done, whole in seen if done == whole == total]
    assert len(passes) >= 4 and all(0 < done <= whole for done, whole in seen)


def test_weights_too_large_for_float16_are_refused(tmp_path):
    with pytest.raises(EdgeModelError, match="beyond float16's 65504: store it with values float32"):
        export_model(
            Weights(hidden=[np.full((4, 3), 1e5)], classes=["a"], k=2, readout=np.ones((1, 4))),
            tmp_path / "m.onnx",
        )


def test_half_written_run_folder(tmp_path, run_folder):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.toml").write_bytes((run_folder / "config.toml").read_bytes())
    with pytest.raises(DataError, match="not finished: go on with ssd-edge train --resume"):
        export_model(tmp_path / "half", tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_pruned_run_ships_as_it_is(analytic_run, tmp_path):
    pruned = prune(analytic_run, PruneOptions(density=0.25))
    path = export_model(pruned, tmp_path / "m.onnx", ExportOptions(values="float32"))
    state = model_file.load(path)
    mask = pruned.network.topk_layers[0].mask.numpy()
    np.testing.assert_array_equal(state.layers[0].weights.to_dense() != 0, mask)
    report = verify(path, against=pruned)
    assert report.ok, report
    assert normalize_rows(pruned.network.topk_layers[0].weight).shape == mask.shape


def test_learned_file_is_not_compared(analytic_run, tmp_path):
    from ssd_edge_runtime import EdgeModel

    path = export_model(analytic_run, tmp_path / "m.onnx")
    model = EdgeModel.load(path)
    model.partial_fit(analytic_run.test_data().x[:5], ["new"] * 5)
    model.save(path)
    checks = {check.check: check.ok for check in verify(path, analytic_run).checks}
    assert checks["run: weights"] is None and checks["run: classes"] is True


def test_verify_against_another_run_fails(analytic_run, gradient_run, tmp_path):
    path = export_model(analytic_run, tmp_path / "m.onnx", ExportOptions(prune=PruneOptions(density=0.3)))
    other = Run(analytic_run.config, gradient_run.network, analytic_run.metrics)
    failed = [check for check in verify(path, other).checks if check.ok is False]
    assert [check.check for check in failed] == ["run: weights", "run: answers"]


@pytest.fixture(scope="module")
def ssd_run() -> Run:
    return train(
        "digits", method="ssd", tasks=5, until_task=2, hidden=(48,), k=(6,), epochs=3, switch=1.2, device="cpu"
    )


class TestInhibition:
    def test_as_trained_takes_the_switch_along(self, ssd_run):
        state = state_of_run(ssd_run, ExportOptions(inhibition="as-trained"))
        layer, loaded = ssd_run.network.topk_layers[0], model_file.from_bytes(model_file.to_bytes(state))
        counts = layer.inhibition_count.numpy()
        assert (counts < layer.switch).any()
        assert loaded.learning.switch == layer.switch
        np.testing.assert_array_equal(loaded.layers[0].inhibition_count, counts.clip(max=np.ceil(layer.switch)))
        described = model_file.describe(model_file.to_bytes(state))["layers"][0]
        assert described["inhibited"] == (counts >= layer.switch).sum()

    def test_complete_is_the_default_and_leaves_it_out(self, ssd_run):
        state = state_of_run(ssd_run)
        assert state.learning.switch is None and state.layers[0].inhibition_count is None

    def test_the_device_goes_on_with_it_and_answers_without(self, ssd_run, tmp_path):
        x, y = ssd_run.training_data().x, ssd_run.training_data().y
        models = {
            kind: EdgeModel(state_of_run(ssd_run, ExportOptions(inhibition=kind)))
            for kind in ("complete", "as-trained")
        }
        same = [model.logits(x[:20]) for model in models.values()]
        np.testing.assert_array_equal(*same)
        before = models["as-trained"].state.layers[0].inhibition_count.sum()
        for model in models.values():
            model.partial_fit(x[:256], [f"new {label}" for label in y[:256]])
        models["as-trained"].save(tmp_path / "model.onnx")
        learned = models["as-trained"].state
        assert learned.layers[0].inhibition_count.sum() > before
        assert (
            np.abs(learned.layers[0].weights.values - models["complete"].state.layers[0].weights.values).max() > 0
        )
        np.testing.assert_array_equal(
            model_file.load(tmp_path / "model.onnx").layers[0].inhibition_count,
            learned.layers[0].inhibition_count,
        )

    def test_the_switch_of_a_model_stays(self, ssd_run):
        model = EdgeModel(state_of_run(ssd_run))
        with pytest.raises(EdgeModelError, match="switch goes with the counts in the model"):
            model.learning = dataclasses.replace(model.learning, switch=5.0)

    def test_where_there_is_none(self, ssd_run, random_run, made_up):
        with pytest.raises(OptionError, match="goes with the gradient readout"):
            state_of_run(random_run, ExportOptions(inhibition="as-trained"))
        with pytest.raises(OptionError, match="inhibition must be one of complete, as-trained, got 'none'"):
            export_model(ssd_run, "never.onnx", ExportOptions(inhibition="none"))
        with pytest.raises(OptionError, match="weights from elsewhere have no GABA switch"):
            export_model(
                Weights(hidden=two_layers(), classes=["a"], k=[6, 4], input_shape=(3, 4)),
                "never.onnx",
                ExportOptions(inhibition="as-trained"),
                data=made_up,
            )
