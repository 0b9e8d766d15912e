"""``ssd_edge.manifest``: what the arrays of a file mean, as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from math import prod
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.input_facts import UNKNOWN, InputFacts
from ssd_edge_runtime.ledger.ledger import Ledger
from ssd_edge_runtime.model_file import ledger_json, strict_json
from ssd_edge_runtime.model_file.checks import MAX_DIMENSIONS, check_classes
from ssd_edge_runtime.model_file.codecs import Storage
from ssd_edge_runtime.model_file.inputs import inputs_document, inputs_facts
from ssd_edge_runtime.model_file.learning_tensors import LearningShape, TeacherShape
from ssd_edge_runtime.model_file.strict_json import Section
from ssd_edge_runtime.model_file.structure import MAX_ENTRIES, MAX_LAYERS, LayerShape, Structure
from ssd_edge_runtime.onnx.protobuf import MAX_FIELDS
from ssd_edge_runtime.options import (
    Activation,
    AnalyticOptions,
    DistillOptions,
    LearningOptions,
    ReadoutKind,
    ValuesType,
)
from ssd_edge_runtime.sparse.exact import BITS, LEAST_BITS
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import EncoderShape

STORAGES: tuple[Storage, ...] = ("gaps", "csr", "dense")
ACTIVATIONS: tuple[Activation, ...] = ("plain", "cosine")
VALUES: tuple[ValuesType, ...] = ("float32", "float16", "int8")
OPTIONAL = ("priors", "min_samples", "switch", "inhibition", "protect", "code_bits")
"""Keys that stand in a manifest only where they are not the default; files of the first version lack them."""
READOUTS: tuple[ReadoutKind, ...] = ("gradient", "analytic")
MAX_CLASSES = 1 << 20


@dataclass(frozen=True)
class Manifest:
    """The manifest, parsed and typed; sizes are not yet checked against the file."""

    classes: list[str]
    structure: Structure
    learning_shape: LearningShape | None
    learning: LearningOptions | None
    analytic: AnalyticOptions | None
    samples_seen: int
    task_samples: int
    class_samples: list[int]
    generation: int
    parent: str | None
    replaced: str | None
    provenance: dict[str, Any]
    ledger: Ledger
    inputs: InputFacts = UNKNOWN


def encode(state: ModelState, structure: Structure, learning_shape: LearningShape | None) -> bytes:
    """The manifest of ``state`` as ``structure`` stores it; ``learning_shape`` None leaves learning out."""
    layers = [
        {"name": s.name, "shape": [s.rows, s.width], "k": s.k, "storage": s.storage, "entries": s.entries}
        | ({"activation": s.activation} if s.activation != "plain" else {})
        for s in structure.layers
    ]
    keep = learning_shape is not None
    document = {
        "classes": state.classes,
        "input_shape": list(state.input_shape),
        "center": structure.center,
        "epsilon": float(state.epsilon),
        "temperature": float(state.temperature),
        "values": state.values_type,
        "layers": layers,
        "readout": {"kind": state.readout.kind, "bias": structure.bias},
        "learning_state": _without_defaults(learning_shape) if learning_shape is not None else None,
        "learning": _without_defaults(state.learning) if keep and state.learning is not None else None,
        "analytic": _without_defaults(state.analytic) if state.analytic is not None else None,
        "samples_seen": state.samples_seen,
        "task_samples": state.task_samples,
        "class_samples": state.class_samples.tolist(),
        "generation": state.generation,
        "parent": state.parent,
        "provenance": state.provenance,
    }
    if state.replaced is not None:
        document["replaced"] = state.replaced
    if structure.encoder is not None:
        document["encoder"] = asdict(structure.encoder)
    if structure.normalized_first:
        document["normalized_first"] = True
    if structure.sketch is not None:
        document["sketch"] = structure.sketch
    if state.ledger:
        document["ledger"] = ledger_json.encode(state.ledger)
    if state.inputs != UNKNOWN:
        document["inputs"] = inputs_document(state.inputs)
    return strict_json.dumps(document, "the manifest")


def _without_defaults(options: Any) -> dict[str, Any]:
    """As JSON, without those optional values that are the default."""
    defaults = {f.name: f.default for f in fields(options) if f.name in OPTIONAL}
    return {k: v for k, v in asdict(options).items() if k not in defaults or v != defaults[k]}


def _layer(value: Any, number: int) -> LayerShape:
    section = Section(value, f"layers[{number}]")
    rows, width = section.counts("shape", 2, low=1, high=MAX_ENTRIES)
    name = section.text("name", f"hidden{number}")
    EdgeModelError.unless(rows * width <= MAX_ENTRIES, f"{name} is {rows} x {width}, beyond {MAX_ENTRIES} entries")
    storage: Storage = section.text("storage", *STORAGES)  # type: ignore[assignment]
    activation: Activation = "plain"
    if "activation" in section.values:
        activation = section.text("activation", *ACTIVATIONS)  # type: ignore[assignment]
    k, entries = section.count("k", 1, rows - 1), section.count("entries", 0, MAX_ENTRIES)
    shape = LayerShape(name, rows, width, k, storage, entries, activation)
    section.end()
    return shape


def _layers(values: list[Any], width: int) -> tuple[LayerShape, ...]:
    EdgeModelError.unless(
        1 <= len(values) <= MAX_LAYERS, f"a model has 1 to {MAX_LAYERS} layers, got {len(values)}"
    )
    layers = tuple(_layer(value, number) for number, value in enumerate(values, 1))
    for layer in layers:
        EdgeModelError.unless(layer.width == width, f"{layer.name} takes {layer.width} inputs, gets {width}")
        EdgeModelError.unless(
            layer.storage != "dense" or layer.entries == layer.rows * layer.width,
            f"{layer.name} is dense, so entries must be {layer.rows * layer.width}, got {layer.entries}",
        )
        width = layer.rows
    return layers


def _encoder(value: Any) -> EncoderShape:
    from ssd_edge_runtime.encoder import EncoderShape

    section = Section(value, "encoder")
    shape = EncoderShape(
        section.text("name"),
        section.count("width", 1, MAX_ENTRIES),
        section.count("nodes", 1, MAX_FIELDS),
        section.count("initializers", 0, MAX_FIELDS),
        section.text("digest"),
    )
    section.end()
    return shape


def _structure(section: Section, classes: int) -> Structure:
    shape = tuple(section.counts("input_shape", low=1, high=MAX_ENTRIES))
    EdgeModelError.unless(
        1 <= len(shape) <= MAX_DIMENSIONS, f"input_shape has 1 to {MAX_DIMENSIONS} dimensions, got {len(shape)}"
    )
    encoder = _encoder(section.take("encoder")) if "encoder" in section.values else None
    width = prod(shape) if encoder is None else encoder.width
    sketch = section.count("sketch", 1, width) if "sketch" in section.values else None
    readout = Section(section.take("readout"), "readout")
    values_type: ValuesType = section.text("values", *VALUES)  # type: ignore[assignment]
    kind: ReadoutKind = readout.text("kind", *READOUTS)  # type: ignore[assignment]
    structure = Structure(
        input_shape=shape,
        classes=classes,
        center=section.flag("center"),
        epsilon=section.number("epsilon"),
        temperature=section.number("temperature"),
        values_type=values_type,
        layers=_layers(section.items("layers"), sketch or width),
        readout=kind,
        bias=readout.flag("bias"),
        encoder=encoder,
        normalized_first="normalized_first" in section.values and section.flag("normalized_first"),
        sketch=sketch,
    )
    readout.end()
    for name in ("epsilon", "temperature"):
        value = getattr(structure, name)
        EdgeModelError.unless(1e-37 < value < 1e38, f"{name} must be positive and fit float32, got {value}")
    return structure


def _options(value: Any, kind: Any, name: str) -> Any:
    """A frozen options dataclass from its JSON form; each value must have the type of the default."""
    section = Section(value, name)
    arguments: dict[str, Any] = {}
    for option in fields(kind):
        if option.name in OPTIONAL and option.name not in section.values:
            continue
        if option.name == "distill":
            distill = section.take("distill")
            arguments["distill"] = (
                None if distill is None else _options(distill, DistillOptions, f"{name}.distill")
            )
        elif option.name == "n_distill":
            optional = section.values.get("n_distill", 0) is None
            arguments["n_distill"] = section.take("n_distill") if optional else section.count("n_distill", 1)
        elif option.name == "switch":
            arguments["switch"] = section.number("switch")
        elif isinstance(option.default, bool):
            arguments[option.name] = section.flag(option.name)
        elif isinstance(option.default, int):
            arguments[option.name] = section.count(option.name)
        elif isinstance(option.default, float):
            arguments[option.name] = section.number(option.name)
        else:
            arguments[option.name] = section.text(option.name)
    section.end()
    try:
        return kind(**arguments)
    except OptionError as error:
        raise EdgeModelError(f"{name}: {error}") from None


def _teacher_shape(value: Any, layers: int, classes: int) -> TeacherShape:
    section = Section(value, "learning_state.teacher")
    shape = TeacherShape(
        section.count("classes", 1, classes),
        tuple(section.counts("selected", layers, high=MAX_ENTRIES)),
        tuple(section.counts("rows", layers, high=MAX_ENTRIES)),
        tuple(section.counts("entries", layers, high=MAX_ENTRIES)),
        section.count("columns", 0, MAX_ENTRIES),
    )
    section.end()
    return shape


def _learning_shape(value: Any, structure: Structure) -> LearningShape:
    section = Section(value, "learning_state")
    layers = len(structure.layers)
    counts = section.text("counts", "uint16", "uint32", "int64")
    supports = section.items("supports", layers)
    EdgeModelError.unless(
        all(type(flag) is bool for flag in supports), "learning_state.supports must be true or false"
    )
    for layer, flag in zip(structure.layers, supports, strict=True):
        EdgeModelError.unless(
            not flag or layer.storage == "dense", f"{layer.name} is not dense, so it needs no support"
        )
        EdgeModelError.unless(
            not flag or layer.activation == "plain", f"{layer.name} is cosine, so its support must not be partial"
        )
    statistics, teacher = section.flag("statistics"), section.take("teacher")
    shape = _teacher_shape(teacher, layers, structure.classes) if teacher is not None else None
    inhibition = "inhibition" in section.values and section.flag("inhibition")
    code_bits = section.count("code_bits", LEAST_BITS, BITS) if "code_bits" in section.values else None
    EdgeModelError.unless(code_bits is None or statistics, "learning_state.code_bits goes with statistics")
    section.end()
    return LearningShape(counts, tuple(supports), statistics, shape, inhibition, code_bits)


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64


def _before(section: Section) -> tuple[str | None, str | None]:
    """Digests of the parent, and of the file whose place this one took, where that is another."""
    parent = section.take("parent")
    EdgeModelError.unless(parent is None or _is_digest(parent), "parent must be a digest or null")
    replaced = section.take("replaced") if "replaced" in section.values else None
    EdgeModelError.unless(replaced is None or _is_digest(replaced), "replaced must be a digest")
    return parent, replaced


def decode_place(data: bytes) -> tuple[int, str | None]:
    """The generation, and the digest of the file whose place it took; nothing else is looked at.

    :raises EdgeModelError: where these are missing or ill-typed.
    """
    return place_in(parse(data))


def place_in(document: Any) -> tuple[int, str | None]:
    """The same of a manifest that is parsed already."""
    section = Section(document, "the manifest")
    parent, replaced = _before(section)
    return section.count("generation"), replaced or parent


def parse(data: bytes) -> Any:
    """A manifest as JSON has it. Raises EdgeModelError."""
    return strict_json.loads(data, "the manifest")


def decode(data: bytes) -> Manifest:
    """Parse and type-check a manifest.

    :raises EdgeModelError: for an unknown, missing or ill-typed key, by name.
    """
    return checked(parse(data))


def checked(document: Any) -> Manifest:
    """The same of one that is parsed already."""
    section = Section(document, "the manifest")
    classes = section.items("classes", most=MAX_CLASSES)
    check_classes(classes)
    structure = _structure(section, len(classes))
    learning_shape, learning = section.take("learning_state"), section.take("learning")
    analytic = section.take("analytic")
    parent, replaced = _before(section)
    provenance = section.take("provenance")
    EdgeModelError.unless(isinstance(provenance, dict), "provenance must be an object")
    manifest = Manifest(
        classes=classes,
        structure=structure,
        learning_shape=_learning_shape(learning_shape, structure) if learning_shape is not None else None,
        learning=_options(learning, LearningOptions, "learning") if learning is not None else None,
        analytic=_options(analytic, AnalyticOptions, "analytic") if analytic is not None else None,
        samples_seen=section.count("samples_seen"),
        task_samples=section.count("task_samples"),
        class_samples=section.counts("class_samples", len(classes)),
        generation=section.count("generation"),
        parent=parent,
        replaced=replaced,
        provenance=provenance,
        ledger=ledger_json.decode(section.take("ledger")) if "ledger" in section.values else Ledger(),
        inputs=inputs_facts(section.take("inputs")) if "inputs" in section.values else UNKNOWN,
    )
    section.end()
    return manifest
