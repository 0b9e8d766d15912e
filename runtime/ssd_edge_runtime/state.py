"""All that a model file holds, as plain arrays: the one meeting point of exporter, file format and engines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ssd_edge_runtime.arrays import Float32, Float64, Int32, Int64
from ssd_edge_runtime.input_facts import UNKNOWN, InputFacts
from ssd_edge_runtime.ledger.ledger import Ledger
from ssd_edge_runtime.options import Activation, AnalyticOptions, LearningOptions, ReadoutKind, ValuesType
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.sketch import Sketch

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import Encoder


COSINE_EPSILON = 1e-3
"""Added to the square of what a row sees of an input of length 1: one that sees next to nothing stays still."""


@dataclass(eq=False)
class Layer:
    """A Top-K hidden layer: ``a = relu(W u)``, ``z = relu(a - I)``, I the (k+1)-th largest of ``a``.

    With the cosine activation ``a_i`` is divided by ``sqrt(sum u_j^2 + COSINE_EPSILON)``, j over the support of
    row i: a sparse row then compares directions, not how much of u stands under its support.
    The counts say in how many samples each of the n neurons had ``z > 0``. While learning, where the GABA switch
    has not closed, ``z = relu(a - g I)`` (Bricken et al., ICLR 2023).
    """

    name: str
    """``hidden1``, ``hidden2``, ... from the input on."""
    weights: CSRMatrix
    """W, (n, d)."""
    k: int
    """Neurons active per sample, 1 <= k < n."""
    activation_count: Int64
    """(n,), over all samples counted."""
    task_count: Int64
    """(n,), over the samples since the last task boundary."""
    class_count: Int64
    """(classes, n), per class, in the order of the model's classes."""
    inhibition_count: Int64 | None = None
    """(n,), c of the GABA switch: in how many steps' samples each neuron fired, at most s; None where inhibition
    is complete."""
    activation: Activation = "plain"

    def gate(self, switch: float | None) -> Float32 | None:
        """``g = clip(-1 + 2 c / s, -1, 1)``, float32 (n,): how much of I each neuron feels while learning.

        None where all feel it whole.
        """
        if switch is None or self.inhibition_count is None or self.inhibition_count.min() >= switch:
            return None
        gate: Float32 = self.inhibition_count.astype(np.float32)
        gate *= np.float32(2.0 / switch)
        gate -= np.float32(1.0)
        return np.clip(gate, -1.0, 1.0, out=gate)


@dataclass(eq=False)
class Readout:
    """``logits = V z + b`` over all classes seen."""

    kind: ReadoutKind
    weights: Float32
    """V, (classes, n)."""
    bias: Float32 | None
    """b, (classes,); None for the gradient readout."""


@dataclass(eq=False)
class Statistics:
    """Sufficient statistics of the analytic readout over the Top-K code z of the last layer."""

    gram: Float64
    """``sum z z^T``, the lower triangle packed row by row: entry (i, j <= i) stands at i (i + 1) / 2 + j."""
    class_sums: Float64
    """(classes, n), sum of z per class."""
    class_counts: Int64
    """(classes,), samples per class."""
    code_bits: int | None = None
    """The z are those of :class:`~ssd_edge_runtime.sparse.exact.ExactNetwork`, of so many bits, and all sums are
    exact; None: they are float32, and sums are rounded, as in files of the first version."""


@dataclass(eq=False)
class StoredTeacher:
    """The model at the last task boundary, as what has changed since: equal to the model elsewhere."""

    classes: int
    """The teacher knew the first so many of the model's classes."""
    selected: list[Int32]
    """Per layer, the distilled neurons, ascending."""
    rows: list[Int32]
    """Per layer, the rows of W that have changed since, ascending."""
    values: list[Float32]
    """Per layer, the old values of those rows' entries, row after row."""
    readout_columns: Int32
    """(m,), the columns of V that have changed since, ascending."""
    readout_values: Float32
    """(teacher classes, m), their old values."""


@dataclass(eq=False)
class ModelState:
    """Everything about one model. Engines treat it as immutable; learners replace what they change."""

    input_shape: tuple[int, ...]
    """Shape of one sample as it is fed; without an encoder its product is d."""
    classes: list[str]
    """Names, in logit order."""
    center: Float32 | None
    """(d,), a share of the mean, or all of it: subtracted before the input is L2-normalised; None for none."""
    epsilon: float
    """The norm is at least this: ``u = (x - center) / max(||x - center||, epsilon)``."""
    layers: list[Layer]
    readout: Readout
    temperature: float = 1.0
    """``probabilities = softmax(logits / temperature)``."""
    values_type: ValuesType = "float32"
    """How weights are stored; the arrays here are always float32, already rounded to what the type holds."""
    learning: LearningOptions | None = None
    """Options of gradient learning; None where the file carries no learning state."""
    analytic: AnalyticOptions | None = None
    """Options of the analytic solver; None for the gradient readout."""
    statistics: Statistics | None = None
    """None for the gradient readout and for files without learning state."""
    teacher: StoredTeacher | None = None
    """None before the first task boundary and for the analytic readout."""
    samples_seen: int = 0
    """Samples learned from, in all, training included."""
    task_samples: int = 0
    """Samples counted since the last task boundary."""
    class_samples: Int64 = field(default_factory=lambda: np.zeros(0, np.int64))
    """(classes,), samples counted per class."""
    generation: int = 1
    """Counts the saves of this model: the exported file is generation 1."""
    parent: str | None = None
    """Digest of the file this one was learned from."""
    replaced: str | None = None
    """Digest of the file whose place this one took, where that is not the parent: of a merge, an export."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """How trained, how pruned, by which versions: JSON."""
    ledger: Ledger = field(default_factory=Ledger)
    """What happened to it on devices, and which files it was made from."""
    encoder: Encoder | None = None
    """What makes embeddings of samples, (d,); None where samples are embeddings already, or raw values."""
    normalized_first: bool = False
    """Whether the input is L2-normalised before ``center`` is subtracted, too."""
    sketch: Sketch | None = None
    """Sums of the centred input that the first layer sees in its place; None for none."""
    inputs: InputFacts = UNKNOWN
    """The range of training samples, and how pictures and rows of a table become samples."""

    @property
    def input_width(self) -> int:
        """d, the number of values that go in: of a sample, or of its embedding."""
        return self.sample_width if self.encoder is None else self.encoder.width

    @property
    def first_width(self) -> int:
        """The number of values that the first layer sees: d, or the sketch's sums."""
        return self.input_width if self.sketch is None else self.sketch.width

    @property
    def sample_width(self) -> int:
        """The number of values in one sample as it is fed."""
        return prod(self.input_shape)

    @property
    def head(self) -> ModelState:
        """The same model without its encoder: it takes embeddings, and shares all arrays."""
        if self.encoder is None:
            return self
        return replace(self, input_shape=(self.input_width,), encoder=None, inputs=UNKNOWN)

    @property
    def answering(self) -> ModelState:
        """What answers are made of, sharing its arrays; in the place of all that is learned from, zeros."""
        classes = len(self.classes)
        layers = []
        for layer in self.layers:
            neurons = layer.weights.shape[0]
            layers.append(
                Layer(layer.name, layer.weights, layer.k, _none(neurons), _none(neurons), _none(classes, neurons))
            )
        return replace(
            self, layers=layers, class_samples=_none(classes), learning=None, statistics=None, teacher=None
        )

    @property
    def switch(self) -> float | None:
        """s of the GABA switch; None where inhibition is complete, or nothing is learned by gradient."""
        return None if self.learning is None else self.learning.switch

    @property
    def has_learning_state(self) -> bool:
        """Whether the file can go on learning."""
        return self.learning is not None or self.statistics is not None


def _none(*shape: int) -> Int64:
    """Counts of nothing, which take no memory."""
    return np.broadcast_to(np.zeros((), np.int64), shape)
