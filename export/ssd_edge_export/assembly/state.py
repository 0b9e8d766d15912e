"""From a network and its data to all that the model file holds."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any

import numpy as np
import torch

from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKLayer, TopKNetwork
from ssd_edge_export.assembly.temperature import fit_temperature
from ssd_edge_export.calibration import Calibration, calibrate
from ssd_edge_export.passes import batches
from ssd_edge_export.samples import Samples, every_tenth
from ssd_edge_runtime import analytic, model_file
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.gradient.teacher import most_frequent
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions, ValuesType
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.exact import ExactInput, ExactNetwork
from ssd_edge_runtime.state import Layer, ModelState, Readout, StoredTeacher


@dataclass(frozen=True, eq=False)
class Plan:
    """What to build besides the network's weights."""

    values: ValuesType = "float32"
    """How weights are stored."""
    analytic: AnalyticOptions | None = None
    """Solve the readout with these options; None ships the network's own V."""
    learning: LearningOptions | None = None
    """Options of gradient learning on the device; gradient readout only."""
    last_task: Sequence[int] | None = None
    """Class indices of the task trained last; None for all."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How the network came to be, JSON."""


def build_state(
    network: TopKNetwork,
    plan: Plan,
    samples: Samples | None,
    held: Samples | None = None,
    progress: Progress = unwatched,
) -> ModelState:
    """The state of the file: weights rounded, counts and statistics gathered on exactly those, readout solved.

    ``samples``: what the network was trained on; without them counts are zero, and only a trained V can ship.
    ``held``: samples that it was not trained on, for the temperature. ``progress`` counts the samples of
    each pass.

    Raises OptionError, DataError, EdgeModelError.
    """
    OptionError.unless(
        samples is not None or plan.analytic is None, "the analytic readout needs samples to gather"
    )
    OptionError.unless(len(network.classes) > 0, "the network has no classes")
    matrices = [
        model_file.round_matrix(matrix, plan.values, f"hidden{number}.values")
        for number, matrix in enumerate(layer_matrices(network), 1)
    ]
    shipped = with_weights(network, matrices)
    exact = _exact(shipped, matrices) if plan.analytic is not None else None
    counted = _counts(shipped, plan, samples, exact, progress)
    readout, temperature = _readout(shipped, plan, counted, samples, held, exact, progress)
    state = _assemble(shipped, matrices, plan, counted, readout)
    state.temperature = temperature
    return model_file.round_state(state)


def layer_matrices(network: TopKNetwork) -> list[CSRMatrix]:
    """W of every layer; the support is the mask of what pruning kept, or everything."""
    matrices = []
    for layer in network.topk_layers:
        weight = layer.weight.detach().cpu().numpy()
        mask = np.ones(weight.shape, np.bool_) if layer.mask is None else layer.mask.cpu().numpy()
        matrices.append(CSRMatrix.from_dense(weight, mask))
    return matrices


@torch.no_grad()
def with_weights(network: TopKNetwork, matrices: Sequence[CSRMatrix]) -> TopKNetwork:
    """A copy whose layers hold ``matrices``, in inference mode."""
    shipped = copy.deepcopy(network).eval()
    for layer, matrix in zip(shipped.topk_layers, matrices, strict=True):
        layer.weight.copy_(torch.from_numpy(matrix.to_dense()))
    return shipped


def _exact(network: TopKNetwork, matrices: Sequence[CSRMatrix]) -> ExactNetwork:
    """What a device learns by: to statistics of the same codes it adds, and takes from them, without rounding."""
    layers = [(matrix, layer.k) for matrix, layer in zip(matrices, network.topk_layers, strict=True)]
    before = ExactInput(_center(network), network.epsilon, network.normalized_first, network.sketch)
    return ExactNetwork(before, layers)


def _center(network: TopKNetwork) -> Float32 | None:
    return None if network.center is None else network.center.detach().cpu().numpy().astype(np.float32)


def _counts(
    network: TopKNetwork, plan: Plan, samples: Samples | None, exact: ExactNetwork | None, progress: Progress
) -> Calibration | None:
    if samples is None:
        return None
    return calibrate(
        network,
        samples.x,
        samples.y,
        last_task=plan.last_task,
        statistics=plan.analytic is not None,
        exact=exact,
        progress=progress,
    )


def _readout(
    network: TopKNetwork,
    plan: Plan,
    counted: Calibration | None,
    samples: Samples | None,
    held: Samples | None,
    exact: ExactNetwork | None,
    progress: Progress,
) -> tuple[Readout, float]:
    """The readout as the file will hold it, and its temperature.

    The analytic temperature is fitted on ``held``, or on a tenth of the samples that a readout solved from the
    other nine tenths has not seen. The trained one's is fitted on ``held``, or else on the training samples.
    """
    if plan.analytic is None:
        weights = model_file.round_values(
            network.readout_weight.detach().cpu().numpy(), plan.values, "readout.values"
        )
        readout = Readout("gradient", weights, None)
        return readout, _temperature(network, readout, held or samples, progress)
    assert counted is not None and counted.statistics is not None and samples is not None
    readout, _ = analytic.solve_rounded(counted.statistics, plan.analytic, plan.values)
    if held is not None:
        return readout, _temperature(network, readout, held, progress)
    tenth = every_tenth(samples)
    if len(tenth) == 0:
        return readout, 1.0
    part = Samples(samples.x[tenth], samples.y[tenth])
    gathered = calibrate(network, part.x, part.y, exact=exact, progress=progress).statistics
    assert gathered is not None
    rest = analytic.without(counted.statistics, gathered)
    solved, _ = analytic.solve_rounded(rest, plan.analytic, plan.values)
    return readout, _temperature(network, solved, part, progress)


def _temperature(network: TopKNetwork, readout: Readout, samples: Samples | None, progress: Progress) -> float:
    if samples is None:
        return 1.0
    return fit_temperature(logits_of(network, readout, samples.x, progress), samples.y)


@torch.no_grad()
def logits_of(network: TopKNetwork, readout: Readout, x: Float32, progress: Progress = unwatched) -> Float32:
    """``V z + b``, float32 (N, classes), on the network's codes of float32 (N, *input_shape)."""
    bias = 0.0 if readout.bias is None else readout.bias
    parts = [codes[-1].cpu().numpy() @ readout.weights.T + bias for _, codes in batches(network, x, progress)]
    logits: Float32 = np.concatenate(parts).astype(np.float32)
    return logits


def _assemble(
    network: TopKNetwork,
    matrices: Sequence[CSRMatrix],
    plan: Plan,
    counted: Calibration | None,
    readout: Readout,
) -> ModelState:
    classes = len(network.classes)
    learning = plan.learning if readout.kind == "gradient" else None
    switch = None if learning is None else learning.switch
    layers = [
        _layer(number, matrix, layer, counted, classes, switch)
        for number, (matrix, layer) in enumerate(zip(matrices, network.topk_layers, strict=True), 1)
    ]
    state = ModelState(
        input_shape=network.input_shape,
        classes=list(network.classes),
        center=_center(network),
        epsilon=network.epsilon,
        layers=layers,
        normalized_first=network.normalized_first,
        sketch=network.sketch,
        readout=readout,
        values_type=plan.values
        if readout.bias is None
        else analytic.rounded(readout.weights, readout.bias, plan.values)[1],
        learning=learning,
        analytic=plan.analytic,
        statistics=None if counted is None else counted.statistics,
        samples_seen=0 if counted is None else int(counted.class_samples.sum()),
        task_samples=0 if counted is None else counted.task_samples,
        class_samples=np.zeros(classes, np.int64) if counted is None else counted.class_samples,
        provenance=plan.provenance,
    )
    return after_boundary(state) if state.learning is not None and counted is not None else state


def _layer(
    number: int,
    matrix: CSRMatrix,
    layer: TopKLayer,
    counted: Calibration | None,
    classes: int,
    switch: float | None,
) -> Layer:
    name, n, k = f"hidden{number}", matrix.shape[0], layer.k
    inhibition = None if switch is None else layer.inhibition_count.cpu().numpy().clip(max=ceil(switch))
    if counted is None:
        empty: Int64 = np.zeros(n, np.int64)
        per_class = np.zeros((classes, n), np.int64)
        return Layer(name, matrix, k, empty, empty.copy(), per_class, inhibition, layer.activation)
    counts = counted.layers[number - 1]
    counted_in = (counts.activation_count, counts.task_count, counts.class_count)
    return Layer(name, matrix, k, *counted_in, inhibition, layer.activation)


def after_boundary(state: ModelState) -> ModelState:
    """``state`` with the boundary passed that ended its last task, as the trainer passes it.

    The model is its own teacher, which costs a list of neurons, so that learning on the device distills from the
    first step; the counts of the task start again at zero.
    """
    assert state.learning is not None
    distill = state.learning.distill
    if distill is None:
        return state
    selected = [most_frequent(layer, distill) for layer in state.layers]
    rows = [np.zeros(0, np.int32) for _ in state.layers]
    values = [np.zeros(0, np.float32) for _ in state.layers]
    columns = np.zeros(0, np.int32)
    teacher = StoredTeacher(
        len(state.classes), selected, rows, values, columns, np.zeros((len(state.classes), 0), np.float32)
    )
    layers = [replace(layer, task_count=np.zeros_like(layer.task_count)) for layer in state.layers]
    return replace(state, layers=layers, teacher=teacher, task_samples=0)
