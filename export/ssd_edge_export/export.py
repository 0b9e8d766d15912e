"""``ssd_edge_export.export_model``: the one file, from a run or from weights trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ssd_edge.data import Dataset
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export.assembly.encoder import behind, check_fit, embedded, encoder_for
from ssd_edge_export.assembly.from_weights import Matrix, network_from_weights
from ssd_edge_export.assembly.provenance import run_provenance, usage, weights_provenance
from ssd_edge_export.assembly.state import Plan, build_state
from ssd_edge_export.options import Budget, Criterion, Inhibition
from ssd_edge_export.pruning.pruning import prune
from ssd_edge_export.samples import run_samples, samples_of, task_names
from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import DataError, EdgeModelError, OptionError
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions, ReadoutKind, ValuesType, require_choice
from ssd_edge_runtime.state import ModelState


def export_model(
    run: Run | str | Path | None = None,
    path: str | Path = "model.onnx",
    *,
    density: float | None = None,
    criterion: Criterion = "auto",
    budget: Budget = "auto",
    values: ValuesType = "float16",
    readout: ReadoutKind | Matrix | None = None,
    learning_state: bool = True,
    inhibition: Inhibition = "complete",
    data: Dataset | None = None,
    seed: int = 0,
    hidden: Sequence[Matrix] | None = None,
    classes: Sequence[str] | None = None,
    k: int | Sequence[int] | None = None,
    input_shape: Sequence[int] | None = None,
    center: Matrix | None = None,
    analytic: AnalyticOptions | None = None,
    learning: LearningOptions | None = None,
    encoder: Encoder | None = None,
) -> Path:
    """Write one ONNX file and return its path; a model that is there already becomes an earlier generation.

    Either from ``run``, a run or its folder; or from weights trained elsewhere: ``hidden``, one (n, d) matrix per
    layer (arrays or torch tensors; where at least half of a matrix is zero, zeros are taken as pruned),
    ``classes``, ``k`` per layer, ``input_shape``, ``center`` (d,), and ``readout``, the trained (classes, n)
    matrix or ``"analytic"``.

    ``density``: prune to it on the way, by ``criterion`` and ``budget``, seeded by ``seed``. ``values``: how
    weights are stored.
    ``readout``: ``"analytic"`` solves a closed-form readout for a run trained by gradient, too.
    ``learning_state``: keep what the device needs to go on learning. ``inhibition``: the device's gradient steps
    go on from where a run's GABA switch stands (``"as-trained"``), or from the switch closed (``"complete"``).
    ``data``: the training samples, where a run cannot load its own; weights from elsewhere need them to be pruned,
    for the analytic readout, and for counts and temperature. ``analytic``, ``learning``: options of either readout
    on the device; a run brings its own.
    ``encoder``: put in front, so that the file takes what the encoder takes; a run trained behind one brings it,
    with weights from elsewhere it stands in place of ``input_shape``. ``data`` may be samples or their embeddings.

    Raises OptionError, DataError, EdgeModelError.
    """
    require_choice("values", values, get_args(ValuesType))
    require_choice("inhibition", inhibition, get_args(Inhibition))
    if (run is None) == (hidden is None):
        raise OptionError("export takes a run, or hidden weights with classes, k and input_shape")
    if run is not None:
        given = {"classes": classes, "k": k, "input_shape": input_shape, "center": center}
        unused = [name for name, value in given.items() if value is not None]
        OptionError.unless(not unused, f"{', '.join(unused)} go with hidden weights; a run brings its own")
        loaded = run if isinstance(run, Run) else Run.load(run)
        state = state_of_run(
            loaded,
            density=density,
            criterion=criterion,
            budget=budget,
            values=values,
            readout=readout,
            inhibition=inhibition,
            data=data,
            seed=seed,
            analytic=analytic,
            learning=learning,
            encoder=encoder,
        )
    else:
        OptionError.unless(
            inhibition == "complete", "inhibition as-trained: weights from elsewhere have no GABA switch"
        )
        assert hidden is not None
        state = state_of_weights(
            hidden,
            readout=readout,
            classes=classes,
            k=k,
            input_shape=input_shape,
            center=center,
            density=density,
            criterion=criterion,
            budget=budget,
            values=values,
            data=data,
            seed=seed,
            analytic=analytic,
            learning=learning,
            learning_state=learning_state,
            encoder=encoder,
        )
    return write_model(path, state, learning_state=learning_state)


def state_of_run(
    run: Run,
    *,
    density: float | None = None,
    criterion: Criterion = "auto",
    values: ValuesType = "float16",
    readout: ReadoutKind | Matrix | None = None,
    inhibition: Inhibition = "complete",
    data: Dataset | None = None,
    seed: int = 0,
    analytic: AnalyticOptions | None = None,
    learning: LearningOptions | None = None,
    encoder: Encoder | None = None,
    **pruning: Any,
) -> ModelState:
    """What ``export_model`` writes for a run; ``pruning``: further options of ``prune``."""
    front = encoder_for(run, encoder)
    data = embedded(data, front)
    trained = run.config.readout
    kind = trained if readout is None else readout
    OptionError.unless(
        isinstance(kind, str), "readout must be gradient or analytic for a run, which brings its own V"
    )
    require_choice("readout", kind, get_args(ReadoutKind))
    OptionError.unless(
        not (kind == "gradient" and trained == "analytic"),
        "readout gradient: this run was trained with the analytic readout, so there is no trained V",
    )
    if density is not None:
        run = prune(run, density=density, criterion=criterion, seed=seed, data=data, **pruning)
    samples, held = run_samples(run, data)
    solver = (analytic or run.analytic or AnalyticOptions()) if kind == "analytic" else None
    last = [run.network.classes.index(name) for name in task_names(run)[-1]]
    provenance = run_provenance(run, str(kind), values)
    learning = learning or run.learning
    if inhibition == "as-trained":
        learning = replace(learning, switch=switch_of(run.network, str(kind)))
    plan = Plan(values, solver, learning, last, provenance)
    state = build_state(run.network, plan, samples, held)
    tasks = [[run.network.classes.index(name) for name in names] for names in task_names(run)]
    state.provenance["neurons"] = {layer.name: usage(layer.class_count, tasks)["tasks"] for layer in state.layers}
    return behind(front, state)


def switch_of(network: TopKNetwork, readout: str) -> float:
    """s of the GABA switch that the network was trained with."""
    OptionError.unless(readout == "gradient", "inhibition as-trained goes with the gradient readout")
    s = network.topk_layers[0].switch
    if s is None:
        raise OptionError("inhibition as-trained: this run was trained without a GABA switch")
    return s


def state_of_weights(
    hidden: Sequence[Matrix],
    *,
    readout: ReadoutKind | Matrix | None = None,
    classes: Sequence[str] | None = None,
    k: int | Sequence[int] | None = None,
    input_shape: Sequence[int] | None = None,
    center: Matrix | None = None,
    density: float | None = None,
    criterion: Criterion = "auto",
    values: ValuesType = "float16",
    data: Dataset | None = None,
    seed: int = 0,
    analytic: AnalyticOptions | None = None,
    learning: LearningOptions | None = None,
    learning_state: bool = True,
    encoder: Encoder | None = None,
    **pruning: Any,
) -> ModelState:
    """What ``export_model`` writes for weights trained elsewhere."""
    matrix = None if isinstance(readout, str) else readout
    solved = matrix is None
    OptionError.unless(
        not solved or readout != "gradient", "readout gradient: give the trained (classes, n) matrix as readout"
    )
    OptionError.unless(
        not solved or data is not None, "the analytic readout needs data; or give a trained readout matrix"
    )
    OptionError.unless(
        encoder is None or input_shape is None, "input_shape is the encoder's: leave it out, or the encoder"
    )
    network = network_from_weights(hidden, matrix, classes, k, input_shape, center)
    if encoder is not None:
        check_fit(encoder, network.topk_layers[0].weight.shape[1])
    data = embedded(data, encoder)
    if density is not None:
        network = prune(network, density=density, criterion=criterion, seed=seed, data=data, **pruning)
    samples = None if data is None else samples_of(data, network.classes)
    solver = (analytic or AnalyticOptions()) if solved else None
    steps = None if solver or not learning_state else (learning or LearningOptions(nonnegative=False))
    provenance = weights_provenance(values, density, criterion)
    return behind(encoder, build_state(network, Plan(values, solver, steps, None, provenance), samples))


def write_model(path: str | Path, state: ModelState, *, learning_state: bool = True) -> Path:
    """Write ``state`` at ``path``, atomically; a model there becomes an earlier generation.

    Raises DataError where there is no such folder, or another kind of file is in the way.
    """
    place = Path(path)
    check_place(place)
    numbered = replace(state, generation=storage.next_generation(place))
    storage.save(place, model_file.to_bytes(numbered, learning_state=learning_state))
    return place


def check_place(place: Path) -> None:
    """Raise DataError unless a model may be written at ``place``."""
    if place.is_dir():
        raise DataError(f"{place}: is a folder; name a file such as {place / 'model.onnx'}")
    if not place.parent.is_dir():
        raise DataError(f"{place.parent}: no such folder")
    if place.exists():
        try:
            model_file.digest_of(model_file.read_file(place))
        except EdgeModelError as error:
            raise DataError(f"{place}: exists and is not a model of SSD-Edge; choose another name") from error
