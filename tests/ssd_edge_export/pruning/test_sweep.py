"""Accuracy against density, and lottery tickets."""

import json

import numpy as np
import pytest

from ssd_edge.training import train
from ssd_edge_export import PruneOptions, SweepOptions, SweepResult, prune, sweep
from ssd_edge_export.passes import accuracy_on_test
from ssd_edge_export.pruning.sweep import some
from ssd_edge_export.pruning.sweep_result import SweepPoint, SweptRun
from ssd_edge_runtime.errors import OptionError


def test_every_point_is_what_prune_gives(analytic_run, gradient_run):
    options = SweepOptions(densities=(0.5, 0.1), criteria=("magnitude", "random"), seeds=(0, 3))
    for run in (analytic_run, gradient_run):
        seen = []
        found = sweep(run, options, progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert found.measured_on == "test" and found.samples == len(run.test_data())
        assert seen == [(number, 8) for number in range(1, 9)] and len(found.points) == 8
        assert found.unpruned == pytest.approx(accuracy_on_test(run), abs=0.01)
        for point in found.points[::3]:
            again = prune(run, PruneOptions(point.density, point.criterion, seed=point.seed))
            assert point.accuracy == pytest.approx(accuracy_on_test(again), abs=0.01)


def made_up_result():
    return SweepResult(
        data="digits",
        method="ssd",
        readout="analytic",
        measured_on="test",
        samples=10,
        fitted_on=20,
        budget="row",
        reserve=0.1,
        runs=(SweptRun("first", 0, 0.7), SweptRun("second", 1, 0.75)),
        points=tuple(
            SweepPoint(run, "random", 0.5, 0, accuracy) for run, accuracy in ((0, 0.5), (1, 0.7), (1, 0.6))
        ),
    )


def test_summary_is_mean_and_deviation():
    mean, deviation = made_up_result().summary()["random"][0.5]
    assert (mean, deviation) == (pytest.approx(0.6), pytest.approx(np.std([0.2, 0.05, 0.15])))


def test_document(tmp_path):
    made_up_result().save(tmp_path / "sweep.json")
    document = json.loads((tmp_path / "sweep.json").read_text())
    assert document == made_up_result().as_dict()
    assert document["unpruned"] == pytest.approx(0.725)
    assert document["runs"][1] == {"run": "second", "seed": 1, "unpruned": 0.75}
    assert document["points"][0] == {
        "run": 0,
        "criterion": "random",
        "density": 0.5,
        "seed": 0,
        "accuracy": 0.5,
    }


def test_hold_out_is_what_a_sweep_measures():
    run = train("digits", method="random", hidden=(20,), k=(4,), until_task=2, hold_out=0.2, device="cpu")
    found = sweep(run, SweepOptions(densities=(0.5,), criteria=("random",)))
    assert found.measured_on == "hold-out"
    assert found.samples == len(run.training_data()) - run.network.samples_seen


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"densities": ()}, "densities must name at least one"),
        ({"criteria": ()}, "criteria must name at least one"),
        ({"seeds": ()}, "seeds must name at least one"),
        ({"most_samples": 0}, "most-samples must be at least 1, got 0"),
        ({"measure_on": "train"}, "measure-on must be one of auto, hold-out, test, got 'train'"),
        ({"densities": (0.5, 2.0)}, "density must be above 0 and at most 1, got 2.0"),
        ({"criteria": ("luck",)}, "criterion must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(OptionError, match=message):
        SweepOptions(**options)


def test_runs_must_be_alike(analytic_run, gradient_run):
    with pytest.raises(OptionError, match="must be of the same data, method and readout"):
        sweep([analytic_run, gradient_run])
    with pytest.raises(OptionError, match="a sweep needs at least one run"):
        sweep([])


def test_samples_are_limited_and_seeded(analytic_run):
    from ssd_edge_export.samples import run_samples

    samples, _ = run_samples(analytic_run)
    assert len(some(samples, 100, 0)) == 100
    assert (some(samples, 100, 0).y == some(samples, 100, 0).y).all()
    assert not (some(samples, 100, 0).x == some(samples, 100, 1).x).all()
    assert some(samples, len(samples), 0) is samples


def test_picture(analytic_run, tmp_path):
    sweep(analytic_run, SweepOptions(densities=(0.5, 0.1), criteria=("random",))).plot(tmp_path / "s.png")
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")


def test_lottery_ticket_is_trained_under_its_mask(gradient_run):
    seen = []
    options = PruneOptions(density=0.25, criterion="lottery-ticket")
    ticket = prune(gradient_run, options, progress=lambda *counts: seen.append(counts))
    layer = ticket.network.topk_layers[0]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (layer.mask.sum(1) == 16).all()
    assert (layer.weight[~layer.mask] == 0).all()
    assert (
        ticket.provenance["prune"]["criterion"] == "lottery-ticket" and ticket.provenance["prune"]["rounds"] == 4
    )
    assert ticket.metrics["accuracy_matrix"] == gradient_run.metrics["accuracy_matrix"]
    assert accuracy_on_test(ticket) >= accuracy_on_test(gradient_run) - 0.1


def test_lottery_ticket_needs_a_run_that_learns(random_run, gradient_run):
    with pytest.raises(OptionError, match="method random does not learn it"):
        prune(random_run, PruneOptions(criterion="lottery-ticket"))
    with pytest.raises(OptionError, match="trains again, so it needs a run"):
        prune(gradient_run.network, PruneOptions(criterion="lottery-ticket"), data=gradient_run.training_data())
    with pytest.raises(OptionError, match="drop-inactive and fine-tune-epochs do not go with it"):
        PruneOptions(criterion="lottery-ticket", fine_tune_epochs=2)
