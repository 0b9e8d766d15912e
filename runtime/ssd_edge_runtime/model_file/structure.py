"""The shape of a model: what decides every node and every initializer's size in its file."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from ssd_edge_runtime.model_file.codecs import Storage, column_type
from ssd_edge_runtime.options import Activation, ReadoutKind, ValuesType

if TYPE_CHECKING:
    from ssd_edge_runtime.encoder import EncoderShape

MAX_LAYERS = 64
MAX_ENTRIES = 2**31 - 1
"""Rows x columns of one matrix: positions in the flattened matrix are int32 in the graph."""


@dataclass(frozen=True)
class LayerShape:
    """One hidden layer as stored; ``entries`` counts stored values, fillers included."""

    name: str
    rows: int
    width: int
    k: int
    storage: Storage
    entries: int
    activation: Activation = "plain"
    partial: bool = False
    """A dense matrix whose zeros are no part of the support, as only files to compare with hold it."""

    @property
    def columns_type(self) -> str | None:
        """Element type of ``<layer>.columns``; None where there are none."""
        if self.storage == "dense":
            return None
        return "uint8" if self.storage == "gaps" else column_type(self.width)


@dataclass(frozen=True)
class Structure:
    """All that the inference graph depends on, apart from the weights."""

    input_shape: tuple[int, ...]
    classes: int
    center: bool
    epsilon: float
    temperature: float
    values_type: ValuesType
    layers: tuple[LayerShape, ...]
    readout: ReadoutKind
    bias: bool
    encoder: EncoderShape | None = None
    normalized_first: bool = False
    sketch: int | None = None
    """How many sums the first layer sees in place of the input's d values."""

    @property
    def input_width(self) -> int:
        """d, the number of values that go in."""
        return prod(self.input_shape) if self.encoder is None else self.encoder.width

    @property
    def sums_type(self) -> str:
        """Element type of ``input.sketch.sums``."""
        return column_type(self.sketch or 1)

    @property
    def code_width(self) -> int:
        """n of the last hidden layer."""
        return self.layers[-1].rows
