"""Pruning networks and runs."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from ssd_edge.data import Dataset
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export import PruneOptions, prune
from ssd_edge_export.passes import accuracy_on_test
from ssd_edge_export.pruning.activity import least_active, observe
from ssd_edge_export.pruning.masks import prune_network, resolve, resolve_budget
from ssd_edge_export.pruning.refit import RHO, nonnegative_solution, refit_readout
from ssd_edge_runtime.errors import DataError, OptionError

CRITERIA = ["activity", "magnitude", "sampled", "random"]


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).random((60, 4, 5)).astype(np.float32)


@pytest.fixture
def network():
    network = TopKNetwork.create((4, 5), (30, 12), (5, 3), seed=1, nonnegative=False)
    network.add_classes(["a", "b"])
    network.readout_weight.data = torch.randn(2, 12, generator=torch.Generator().manual_seed(2))
    return network.eval()


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("density", [0.1, 0.33, 1.0])
def test_every_row_keeps_its_share_and_length_one(network, samples, criterion, density):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pruned = prune_network(network, samples, PruneOptions(density, criterion, "row")).network
    for layer, old in zip(pruned.topk_layers, network.topk_layers, strict=True):
        n, d = old.weight.shape
        assert layer.weight.shape == (n, d)
        assert (layer.mask.sum(1) == max(1, round(density * d))).all()
        assert (layer.weight[~layer.mask] == 0).all()
        np.testing.assert_allclose(torch.linalg.vector_norm(layer.weight, dim=1).detach(), 1.0, rtol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_density_one_changes_nothing(network, samples):
    pruned = prune_network(network, samples, PruneOptions(density=1.0, criterion="activity", budget="row")).network
    x = torch.from_numpy(samples)
    np.testing.assert_allclose(pruned(x).detach(), network(x).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("budget", ["layer", "global"])
def test_total_is_kept_for_wider_budgets(network, samples, budget):
    report = prune_network(
        network, samples, PruneOptions(density=0.2, criterion="magnitude", budget=budget)
    ).report
    total = sum(layer["nonzeros"] for layer in report["layers"])
    assert total == round(0.2 * (30 * 20 + 12 * 30))


def test_firing_budget_gives_weights_to_neurons_that_fire(network, samples):
    options = PruneOptions(density=0.25, criterion="magnitude", budget="firing", reserve=0.1)
    pruned = prune_network(network, samples, options).network
    for layer, seen in zip(pruned.topk_layers, observe(network, samples), strict=True):
        n, d = layer.weight.shape
        even, per_row = round(0.25 * d), layer.mask.sum(1).numpy()
        assert per_row.sum() == n * even and per_row.min() >= 1
        reserve = least_active(seen.activation_count, 0.1)
        assert (per_row[reserve] == even).all()
        others = np.setdiff1d(np.arange(n), reserve)
        order = others[np.argsort(seen.activation_count[others], kind="stable")]
        assert (np.diff(per_row[order]) >= -1).all() and per_row[order[-1]] > even


def test_pruning_by_rows_what_was_pruned_by_firing_revives_nothing(network, samples):
    first = prune_network(network, samples, PruneOptions(0.4, "magnitude", "firing")).network
    second = prune_network(first, samples, PruneOptions(0.3, "random", "row")).network
    third = prune_network(first, samples, PruneOptions(0.2, "magnitude", "firing")).network
    for again in (second, third):
        for before, after in zip(first.topk_layers, again.topk_layers, strict=True):
            assert not (after.mask & ~before.mask).any()


def test_trained_readout_keeps_its_accuracy_at_few_weights(gradient_run):
    assert prune(gradient_run, PruneOptions(density=0.1)).provenance["prune"]["budget"] == "row"
    finished = dataclasses.replace(gradient_run, config=dataclasses.replace(gradient_run.config, tasks=2))
    pruned = prune(finished, PruneOptions(density=0.1))
    report = pruned.provenance["prune"]
    assert (report["criterion"], report["budget"], report["refit"]) == ("sampled", "firing", True)
    even = prune(gradient_run, PruneOptions(density=0.1, budget="row", refit=False))
    assert accuracy_on_test(pruned) >= accuracy_on_test(gradient_run) - 0.02
    assert accuracy_on_test(even) < accuracy_on_test(pruned)


def test_inactive_neurons_are_dropped_after_the_fit(gradient_run):
    options = {"density": 0.3, "budget": "firing", "reserve": 0.0}
    whole = prune(gradient_run, PruneOptions(**options))
    smaller = prune(gradient_run, PruneOptions(drop_inactive=True, **options))
    dropped = smaller.provenance["prune"]["layers"][0]["dropped"]
    assert smaller.network.topk_layers[0].weight.shape[0] == 48 - dropped
    x = torch.from_numpy(gradient_run.training_data().x)
    with torch.no_grad():
        torch.testing.assert_close(smaller.network(x), whole.network(x), rtol=1e-5, atol=1e-5)


def test_reserve_keeps_the_least_active_neurons_a_random_row(network, samples):
    options = PruneOptions(density=0.2, criterion="magnitude", budget="row", reserve=0.4)
    activity = observe(network, samples)[0]
    chosen = least_active(activity.activation_count, 0.4)
    assert len(chosen) == 12
    masks = [
        prune_network(network, samples, dataclasses.replace(options, seed=s)).network.topk_layers[0].mask
        for s in (0, 1)
    ]
    others = np.setdiff1d(np.arange(30), chosen)
    assert torch.equal(masks[0][others], masks[1][others])
    assert not torch.equal(masks[0][chosen], masks[1][chosen])


def test_seed_repeats(network, samples):
    options = PruneOptions(density=0.2, criterion="sampled", budget="row")
    twice = [prune_network(network, samples, options).network.topk_layers[0].mask for _ in range(2)]
    other = prune_network(network, samples, dataclasses.replace(options, seed=3)).network.topk_layers[0].mask
    assert torch.equal(*twice) and not torch.equal(twice[0], other)


def test_drop_inactive_keeps_the_function(network, samples):
    with torch.no_grad():
        network.topk_layers[0].weight[3] = -1.0
        network.topk_layers[0].weight[3] /= torch.linalg.vector_norm(network.topk_layers[0].weight[3])
    options = PruneOptions(density=0.5, criterion="magnitude", budget="row", reserve=0.0)
    whole = prune_network(network, samples, options)
    smaller = prune_network(network, samples, dataclasses.replace(options, drop_inactive=True))
    dropped = [layer["dropped"] for layer in smaller.report["layers"]]
    assert dropped[0] >= 1
    shapes = [tuple(layer.weight.shape) for layer in smaller.network.topk_layers]
    assert shapes == [(30 - dropped[0], 20), (12 - dropped[1], 30 - dropped[0])]
    x = torch.from_numpy(samples)
    np.testing.assert_allclose(smaller.network(x).detach(), whole.network(x).detach(), rtol=1e-5, atol=1e-6)
    assert [layer["dropped"] for layer in whole.report["layers"]] == [0, 0]


def test_pruning_again_keeps_a_subset(network, samples):
    once = prune_network(network, samples, PruneOptions(density=0.4, criterion="sampled", budget="row")).network
    twice = prune_network(once, samples, PruneOptions(density=0.2, criterion="random", budget="row")).network
    for first, second in zip(once.topk_layers, twice.topk_layers, strict=True):
        assert not (second.mask & ~first.mask).any()
    with pytest.raises(OptionError, match=r"density 0\.6 is above what pruning has left of hidden1 \(0\.4\)"):
        prune_network(once, samples, PruneOptions(density=0.6, criterion="random", budget="row"))


def test_auto_says_what_it_picks():
    for learned, wanted in ((False, "random"), (True, "sampled")):
        criterion, reason = resolve("auto", learned=learned)
        assert criterion == wanted and reason
    assert resolve("magnitude", learned=False) == ("magnitude", "")
    for learned, analytic, to_come, wanted in (
        (False, True, False, "row"),
        (True, True, False, "row"),
        (True, False, True, "row"),
        (True, False, False, "firing"),
    ):
        budget, reason = resolve_budget("auto", learned=learned, analytic=analytic, to_come=to_come)
        assert budget == wanted and reason
    assert resolve_budget("layer", learned=True, analytic=False, to_come=False) == ("layer", "")


def test_run_stays_a_run(tmp_path, gradient_run, analytic_run, random_run):
    for run in (gradient_run, analytic_run, random_run):
        pruned = prune(run, PruneOptions(density=0.3))
        pruned.save(tmp_path / run.config.method / str(run.config.readout))
        loaded = Run.load(pruned.path)
        assert loaded.provenance["prune"]["density"] == 0.3
        assert torch.equal(loaded.network.topk_layers[0].mask, pruned.network.topk_layers[0].mask)
        assert loaded.network.samples_seen == len(loaded.training_data())
        assert loaded.network.task_samples == 0 and loaded.teacher is not None
        assert accuracy_on_test(loaded) == accuracy_on_test(pruned)
    assert (
        random_run.provenance == {}
        and prune(random_run, PruneOptions(density=0.3)).provenance["prune"]["criterion"] == "random"
    )


def test_half_the_weights_answer_as_well(gradient_run, analytic_run):
    for run in (gradient_run, analytic_run):
        assert accuracy_on_test(prune(run, PruneOptions(density=0.5))) >= accuracy_on_test(run) - 0.03


def test_fine_tuning_imitates_the_unpruned_network(gradient_run):
    def distance(**options) -> float:
        pruned = prune(gradient_run, PruneOptions(density=0.2, budget="row", **options))
        x = torch.from_numpy(gradient_run.training_data().x)
        with torch.no_grad():
            logits = [torch.log_softmax(run.network(x), 1) for run in (pruned, gradient_run)]
        return float(torch.nn.functional.kl_div(*logits, reduction="batchmean", log_target=True))

    raw, tuned = distance(refit=False), distance(refit=False, fine_tune_epochs=20)
    refitted, both = distance(), distance(fine_tune_epochs=20)
    assert tuned < 0.5 * raw
    assert refitted < 0.5 * raw
    assert both < refitted


def test_refit_is_the_closed_form(network, samples):
    pruned = prune_network(network, samples, PruneOptions(density=0.3, criterion="activity", budget="row")).network
    refit_readout(pruned, network, samples, nonnegative=False)
    with torch.no_grad():
        z, logits = (
            t.double().numpy()
            for t in (pruned.codes(torch.from_numpy(samples))[-1], network(torch.from_numpy(samples)))
        )
    gram = z.T @ z
    gram += RHO * np.trace(gram) / 12 * np.eye(12)
    np.testing.assert_allclose(
        pruned.readout_weight.detach(), np.linalg.solve(gram, z.T @ logits).T, rtol=1e-3, atol=1e-5
    )


def test_nonnegative_refit_is_nnls():
    rng = np.random.default_rng(0)
    z, targets = rng.random((50, 8)), rng.standard_normal((50, 3))
    found = nonnegative_solution(torch.from_numpy(z.T @ z), torch.from_numpy(targets.T @ z), steps=5000)
    for row, target in zip(found.numpy(), targets.T, strict=True):
        np.testing.assert_allclose(row, nnls(z, target)[0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"density": 0.0}, "density must be above 0 and at most 1, got 0.0"),
        ({"density": 1.5}, "density must be above 0 and at most 1, got 1.5"),
        ({"density": float("nan")}, "density must be above 0 and at most 1, got nan"),
        ({"criterion": "luck"}, "criterion must be one of auto, .* got 'luck'"),
        ({"budget": "column"}, "budget must be one of auto, row, firing, layer, global, got 'column'"),
        ({"reserve": 1.1}, "reserve must be between 0 and 1, got 1.1"),
        ({"fine_tune_epochs": -1}, "fine-tune-epochs must be at least 0, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_options(analytic_run, options, message):
    with pytest.raises(OptionError, match=message):
        prune(analytic_run, PruneOptions(**options))


def test_network_needs_fitting_data(network, samples):
    with pytest.raises(DataError, match="pruning a network needs data"):
        prune(network)
    with pytest.raises(DataError, match=r"samples must be float32 of shape \(N, 4 x 5\)"):
        prune(network, data=Dataset(samples.reshape(60, 20), np.zeros(60, np.int64), ("a", "b")))
    with pytest.raises(DataError, match="class 'c' is not one of the model's: a, b"):
        prune(network, data=Dataset(samples, np.zeros(60, np.int64), ("c",)))
