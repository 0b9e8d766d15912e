"""Whether a file holds what exporting a run gives."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssd_edge.training import Run
from ssd_edge_export.export import state_of_run
from ssd_edge_export.options import ExportOptions, PruneOptions
from ssd_edge_export.verification.report import Check
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import DataError, SSDEdgeError, first_line
from ssd_edge_runtime.network.engines import CSREngine
from ssd_edge_runtime.state import ModelState

WEIGHT_TOLERANCE = 1e-3
"""Of the largest weight: a value on the border of two float16 numbers may be rounded either way."""
SAME_LABELS = 0.99
CHUNK = 1024
PRUNING = ("density", "criterion", "budget", "reserve", "seed", "refit", "fine_tune_epochs")


def compare(state: ModelState, against: Run | str | PathLike[str]) -> list[Check]:
    """Export ``against`` again, in memory, with the options that the file names; compare weights and answers."""
    run = against if isinstance(against, Run) else Run.load(Path(against))
    if state.classes[: len(run.network.classes)] != run.network.classes:
        return [Check("run: classes", False, f"the run's are {', '.join(run.network.classes)}")]
    checks = [Check("run: classes", True, f"{len(run.network.classes)} of the file's {len(state.classes)}")]
    if run.encoder is not None:
        checks.append(encoder_check(state, run.encoder))
        if not checks[-1].ok:
            return checks
    if state.generation > 1 or state.samples_seen > run.network.samples_seen:
        told = "the file has changed since it was exported; check its first generation"
        return [*checks, Check("run: weights", None, told)]
    try:
        expected = _export_again(state, run)
    except SSDEdgeError as error:
        return [*checks, Check("run: weights", False, str(error))]
    return [*checks, weights_check(state, expected), answers_check(state, expected, run)]


def encoder_check(state: ModelState, encoder: Encoder) -> Check:
    """The encoder that the run was trained behind stands in front."""
    if state.encoder is None:
        return Check("run: encoder", False, f"the run was trained behind {encoder.name}, the file has no encoder")
    same = state.encoder == encoder
    found = "the run's" if same else f"not the run's, which is {encoder.name}, digest {encoder.digest[:12]}..."
    return Check("run: encoder", same, f"{state.encoder.name}, digest {state.encoder.digest[:12]}..., {found}")


def _export_again(state: ModelState, run: Run) -> ModelState:
    pruned = state.provenance.get("prune") or {}
    prune = None if not pruned or pruned == run.provenance.get("prune") else pruning_of(pruned)
    options = ExportOptions(
        prune=prune, values=state.values_type, readout=state.readout.kind, analytic=state.analytic
    )
    return state_of_run(run, options, encoder=state.encoder)


def pruning_of(pruned: Any) -> PruneOptions:
    """The options that a file says it was pruned with. Raises DataError where it says nothing of the kind."""
    try:
        dropped = sum(layer.get("dropped", 0) for layer in pruned.get("layers", ()))
        known = {name: pruned[name] for name in PRUNING if name in pruned}
        return PruneOptions(**known, drop_inactive=dropped > 0)
    except (TypeError, AttributeError, KeyError) as error:
        raise DataError(f"its provenance does not say how it was pruned: {first_line(error)}") from error


def weights_check(state: ModelState, expected: ModelState) -> Check:
    """Same supports, and weights equal but for roundings that may fall either way."""
    worst = 0.0
    for own, other in zip(state.layers, expected.layers, strict=True):
        if own.weights.shape != other.weights.shape or own.k != other.k:
            return Check("run: weights", False, f"{own.name} is {own.weights.shape} with k {own.k}, not the run's")
        if not np.array_equal(own.weights.indptr, other.weights.indptr) or not np.array_equal(
            own.weights.columns, other.weights.columns
        ):
            return Check("run: weights", False, f"{own.name} keeps other weights than the run's")
        largest = float(np.abs(other.weights.values).max(initial=0.0)) or 1.0
        difference = float(np.abs(own.weights.values - other.weights.values).max(initial=0.0))
        worst = max(worst, difference / largest)
    return Check(
        "run: weights", worst <= WEIGHT_TOLERANCE, f"hidden weights as exported: off by {worst:.1e} at most"
    )


@torch.no_grad()
def answers_check(state: ModelState, expected: ModelState, run: Run) -> Check:
    """Labels of the run's test samples: the file's, the run's exported again, and the run's own."""
    test = run.test_data()
    flat = np.ascontiguousarray(test.x.reshape(len(test), -1))
    own, again = (CSREngine(each).logits(flat).argmax(axis=1) for each in (state, expected))
    parts = [run.network(torch.from_numpy(test.x[i : i + CHUNK])).argmax(1) for i in range(0, len(test), CHUNK)]
    trained = torch.cat(parts).numpy()
    same = float(np.mean(own == again))
    correct = float(np.mean(own == test.y)), float(np.mean(trained == test.y))
    accuracy = f"accuracy on {len(test)} test samples {correct[0]:.4f}, the run's {correct[1]:.4f}"
    return Check("run: answers", same >= SAME_LABELS, f"{100 * same:.2f} % of labels as exported; {accuracy}")
