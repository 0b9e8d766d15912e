"""``ssd_edge_export.export_model``: the one file, from a run or from weights trained elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.model import TopKNetwork
from ssd_edge.training import Run
from ssd_edge_export.assembly.encoder import behind, check_fit, embedded, encoder_for
from ssd_edge_export.assembly.facts import facts_of_data, facts_of_run
from ssd_edge_export.assembly.from_weights import Weights, network_from_weights
from ssd_edge_export.assembly.provenance import run_provenance, usage, weights_provenance
from ssd_edge_export.assembly.state import Plan, build_state
from ssd_edge_export.options import ExportOptions
from ssd_edge_export.place import check_place
from ssd_edge_export.pruning import prune
from ssd_edge_export.samples import run_samples, samples_of, task_names
from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions, ReadoutKind
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import signing
from ssd_edge_runtime.storage.trust import Trust


def export_model(
    source: Run | Weights | str | Path,
    path: str | Path = "model.onnx",
    options: ExportOptions = ExportOptions(),
    *,
    data: Dataset | None = None,
    encoder: Encoder | None = None,
    sign_with: str | Path | None = None,
    progress: Progress = unwatched,
) -> Path:
    """Write one ONNX file and return its path; a model that is there already becomes an earlier generation.

    ``source``: a run or its folder, or weights that were trained elsewhere.

    >>> small = ExportOptions(prune=PruneOptions(density=0.1), values="int8")  # doctest: +SKIP
    >>> export_model("runs/first", "model.onnx", small)  # doctest: +SKIP
    >>> own = Weights(hidden=[w], classes=["cat", "dog"], k=10, readout=v)  # doctest: +SKIP
    >>> export_model(own, "own.onnx")  # doctest: +SKIP

    ``data``: the training samples, where a run cannot load its own; weights from elsewhere need them to be pruned,
    for the analytic readout, and for counts and temperature.
    ``encoder``: put in front, so that the file takes what the encoder takes; a run trained behind one brings it.
    ``data`` may then be samples or their embeddings. ``progress`` counts the samples of each pass over them.
    ``sign_with``: private key file that signs what is written; needed where SSD_EDGE_TRUSTED_KEYS is set.

    Raises OptionError, DataError, EdgeModelError.
    """
    Trust.here().check_writer(sign_with)
    if isinstance(source, Weights):
        state = state_of_weights(source, options, data=data, encoder=encoder, progress=progress)
    else:
        run = source if isinstance(source, Run) else Run.load(source)
        state = state_of_run(run, options, data=data, encoder=encoder, progress=progress)
    return write_model(path, state, learning_state=options.learning_state, sign_with=sign_with)


def state_of_run(
    run: Run,
    options: ExportOptions = ExportOptions(),
    *,
    data: Dataset | None = None,
    encoder: Encoder | None = None,
    progress: Progress = unwatched,
) -> ModelState:
    """What ``export_model`` writes for a run."""
    front = encoder_for(run, encoder)
    facts = facts_of_run(run, data, front)
    data = embedded(data, front)
    trained: ReadoutKind = "gradient" if run.analytic is None else "analytic"
    kind = options.readout or trained
    OptionError.unless(
        kind == "analytic" or trained == "gradient",
        "readout gradient: this run was trained with the analytic readout, so there is no trained V",
    )
    if options.prune is not None:
        run = prune(run, options.prune, data=data, progress=progress)
    samples, held = run_samples(run, data)
    solver = (options.analytic or run.analytic or AnalyticOptions()) if kind == "analytic" else None
    learning = options.learning or run.learning
    if options.inhibition == "as-trained":
        learning = replace(learning, switch=switch_of(run.network, kind))
    tasks = [[run.network.classes.index(name) for name in names] for names in task_names(run)]
    plan = Plan(options.values, solver, learning, tasks[-1], run_provenance(run, kind, options.values))
    state = build_state(run.network, plan, samples, held, progress)
    state.provenance["neurons"] = {layer.name: usage(layer.class_count, tasks)["tasks"] for layer in state.layers}
    return replace(behind(front, state), inputs=facts)


def switch_of(network: TopKNetwork, readout: ReadoutKind) -> float:
    """s of the GABA switch that the network was trained with."""
    OptionError.unless(readout == "gradient", "inhibition as-trained goes with the gradient readout")
    s = network.topk_layers[0].switch
    if s is None:
        raise OptionError("inhibition as-trained: this run was trained without a GABA switch")
    return s


def state_of_weights(
    weights: Weights,
    options: ExportOptions = ExportOptions(),
    *,
    data: Dataset | None = None,
    encoder: Encoder | None = None,
    progress: Progress = unwatched,
) -> ModelState:
    """What ``export_model`` writes for weights trained elsewhere."""
    kind: ReadoutKind = options.readout or ("analytic" if weights.readout is None else "gradient")
    check_weights(weights, kind, options, data, encoder)
    network = network_from_weights(weights)
    if encoder is not None:
        check_fit(encoder, network.input_width)
    facts = facts_of_data(data, network.input_shape if encoder is None else encoder.input_shape)
    data = embedded(data, encoder)
    if options.prune is not None:
        network = prune(network, options.prune, data=data, progress=progress)
    samples = None if data is None else samples_of(data, network.classes)
    solver, steps = None, None
    if kind == "analytic":
        solver = options.analytic or AnalyticOptions()
    elif options.learning_state:
        steps = options.learning or LearningOptions(nonnegative=False)
    plan = Plan(options.values, solver, steps, None, weights_provenance(options.values, options.prune))
    return replace(behind(encoder, build_state(network, plan, samples, progress=progress)), inputs=facts)


def check_weights(
    weights: Weights, kind: ReadoutKind, options: ExportOptions, data: Dataset | None, encoder: Encoder | None
) -> None:
    """Raise OptionError for what does not go with weights from elsewhere, and for a readout that has no source."""
    OptionError.unless(
        options.inhibition == "complete", "inhibition as-trained: weights from elsewhere have no GABA switch"
    )
    OptionError.unless(
        kind == "analytic" or weights.readout is not None,
        "readout gradient: give the trained (classes, n) matrix as readout",
    )
    OptionError.unless(
        kind == "gradient" or data is not None, "the analytic readout needs data; or give a trained readout matrix"
    )
    OptionError.unless(
        encoder is None or weights.input_shape is None,
        "input_shape is the encoder's: leave it out, or the encoder",
    )


def write_model(
    path: str | Path, state: ModelState, *, learning_state: bool = True, sign_with: str | Path | None = None
) -> Path:
    """Write ``state`` at ``path``, atomically; a model there becomes an earlier generation.

    Raises DataError where there is no such folder, or another kind of file is in the way.
    """
    place = Path(path)
    check_place(place)
    there = model_file.digest_of(model_file.read_file(place)) if place.exists() else None
    numbered = replace(state, generation=storage.next_generation(place), replaced=there)
    data = model_file.to_bytes(numbered, learning_state=learning_state)
    with storage.locked(place):
        if sign_with is not None:
            signing.signer(place, sign_with)(model_file.digest_of(data))
        storage.save(place, data)
    return place
