"""Accuracy against density, and lottery tickets."""

import numpy as np
import pytest

from ssd_edge.training import train
from ssd_edge_export import prune
from ssd_edge_export.options import PruneOptions
from ssd_edge_export.passes import accuracy_on_test
from ssd_edge_export.pruning.sweep import some, sweep
from ssd_edge_export.pruning.sweep_plot import plot_sweep, summary
from ssd_edge_runtime.errors import OptionError


def test_every_point_is_what_prune_gives(analytic_run, gradient_run):
    for run in (analytic_run, gradient_run):
        ticks = []
        found = sweep(run, densities=(0.5, 0.1), criteria=("magnitude", "random"), seeds=(0, 3), tick=ticks.append)
        assert found["measured_on"] == "test" and found["samples"] == len(run.test_data())
        assert len(found["points"]) == len(ticks) == 8
        assert found["unpruned"] == pytest.approx(accuracy_on_test(run), abs=0.01)
        for point in found["points"][::3]:
            options = {name: point[name] for name in ("criterion", "density", "seed")}
            assert point["accuracy"] == pytest.approx(accuracy_on_test(prune(run, **options)), abs=0.01)


def test_summary_is_mean_and_deviation():
    points = [
        {"run": run, "criterion": "random", "density": 0.5, "seed": 0, "accuracy": accuracy}
        for run, accuracy in ((0, 0.5), (1, 0.7), (1, 0.6))
    ]
    runs = [{"unpruned": 0.7}, {"unpruned": 0.75}]
    mean, deviation = summary({"runs": runs, "points": points})["random"][0.5]
    assert (mean, deviation) == (pytest.approx(0.6), pytest.approx(np.std([0.2, 0.05, 0.15])))


def test_hold_out_is_what_a_sweep_measures():
    run = train("digits", method="random", hidden=(20,), k=(4,), until_task=2, hold_out=0.2, device="cpu")
    found = sweep(run, densities=(0.5,), criteria=("random",))
    assert found["measured_on"] == "hold-out"
    assert found["samples"] == len(run.training_data()) - run.network.samples_seen


def test_samples_are_limited_and_seeded(analytic_run):
    from ssd_edge_export.samples import run_samples

    samples, _ = run_samples(analytic_run)
    assert len(some(samples, 100, 0)) == 100
    assert (some(samples, 100, 0).y == some(samples, 100, 0).y).all()
    assert not (some(samples, 100, 0).x == some(samples, 100, 1).x).all()
    assert some(samples, len(samples), 0) is samples


def test_picture(analytic_run, tmp_path):
    plot_sweep(sweep(analytic_run, densities=(0.5, 0.1), criteria=("random",)), tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_lottery_ticket_is_trained_under_its_mask(gradient_run):
    ticks = []
    ticket = prune(gradient_run, density=0.25, criterion="lottery-ticket", tick=ticks.append)
    layer = ticket.network.topk_layers[0]
    assert len(ticks) == 4
    assert (layer.mask.sum(1) == 16).all()
    assert (layer.weight[~layer.mask] == 0).all()
    assert (
        ticket.provenance["prune"]["criterion"] == "lottery-ticket" and ticket.provenance["prune"]["rounds"] == 4
    )
    assert ticket.metrics["accuracy_matrix"] == gradient_run.metrics["accuracy_matrix"]
    assert accuracy_on_test(ticket) >= accuracy_on_test(gradient_run) - 0.1


def test_lottery_ticket_needs_a_run_that_learns(random_run, gradient_run):
    with pytest.raises(OptionError, match="method random does not learn it"):
        prune(random_run, criterion="lottery-ticket")
    with pytest.raises(OptionError, match="trains again, so it needs a run"):
        prune(gradient_run.network, criterion="lottery-ticket", data=gradient_run.training_data())
    with pytest.raises(OptionError, match="drop-inactive and fine-tune-epochs do not go with it"):
        PruneOptions(criterion="lottery-ticket", fine_tune_epochs=2)
