"""Accuracy of a network on labelled samples."""

from __future__ import annotations

from ssd_edge.training import Run
from ssd_edge_export.pruning.activity import batches
from ssd_edge_export.samples import Samples, samples_of


def accuracy(run: Run, samples: Samples) -> float:
    """Share of ``samples`` that the run's network answers right, over all classes it knows."""
    right = start = 0
    for _, codes in batches(run.network, samples.x):
        answers = run.network.readout(codes[-1]).argmax(dim=1).cpu().numpy()
        right += int((answers == samples.y[start : start + len(answers)]).sum())
        start += len(answers)
    return right / len(samples)


def test_accuracy(run: Run) -> float:
    """``accuracy`` on the test samples of the tasks trained."""
    return accuracy(run, samples_of(run.test_data(), run.network.classes))
