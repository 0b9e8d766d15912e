"""The encoder: a frozen ONNX network in front of the model, samples in, embeddings out.

Its nodes and initializers are carried as the bytes that stand in the file; ONNX Runtime is what runs them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import prod

from ssd_edge_runtime.confinement import Limits
from ssd_edge_runtime.encoder.parts import INPUT, OUTPUT, check_parts
from ssd_edge_runtime.onnx.messages import INITIALIZER, NODE, graph_message, value_info
from ssd_edge_runtime.onnx.model_proto import model_message
from ssd_edge_runtime.onnx.protobuf import LENGTH, encode_varint

BLOCK_VALUES = 2**20
"""Values of the samples that go through an encoder together: what its layers hold at a time is many times more."""
MAX_BLOCK = 256
MEMORY_PER_BYTE = 8
"""Bytes that running it may take for each of its own, beside the libraries and what goes through."""


@dataclass(frozen=True)
class EncoderShape:
    """What the manifest says of an encoder; its nodes and initializers come first in the graph."""

    name: str
    width: int
    nodes: int
    initializers: int
    digest: str


@dataclass(frozen=True, eq=False)
class Encoder:
    """A checked encoder in its one normal form; two are equal if they compute the same from the same bytes."""

    name: str
    """Where it came from, for people to read."""
    input_shape: tuple[int, ...]
    """Shape of one sample."""
    width: int
    """Values in one embedding: d of the model behind it."""
    nodes: tuple[bytes, ...]
    """Its ``NodeProto`` messages, in order."""
    tensors: tuple[bytes, ...]
    """Its ``TensorProto`` messages, in order."""
    confined: bool = False
    """Whether no trusted key has signed the file that it came in, so that it runs in a process with limits."""

    def __post_init__(self) -> None:
        check_parts(self.nodes, self.tensors)

    @cached_property
    def digest(self) -> str:
        """sha256, 64 hexadecimal digits, of the nodes and initializers as fields of ``GraphProto``."""
        digest = hashlib.sha256()
        for number, messages in ((NODE, self.nodes), (INITIALIZER, self.tensors)):
            for message in messages:
                digest.update(encode_varint(number << 3 | LENGTH) + encode_varint(len(message)))
                digest.update(message)
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of its nodes and initializers."""
        return sum(map(len, self.nodes)) + sum(map(len, self.tensors))

    @property
    def limits(self) -> Limits:
        """What its process may take, where it is confined."""
        return Limits(Limits.memory + MEMORY_PER_BYTE * self.nbytes)

    @property
    def block(self) -> int:
        """Samples to run together."""
        return max(1, min(MAX_BLOCK, BLOCK_VALUES // prod(self.input_shape)))

    @property
    def shape(self) -> EncoderShape:
        """What the manifest says of it."""
        return EncoderShape(self.name, self.width, len(self.nodes), len(self.tensors), self.digest)

    def to_onnx(self) -> bytes:
        """An ordinary ONNX model of the encoder alone: ``input`` to ``encoder.output``."""
        inputs = [value_info(INPUT, ("batch", *self.input_shape))]
        outputs = [value_info(OUTPUT, ("batch", self.width))]
        return model_message(graph_message("encoder", self.nodes, self.tensors, inputs, outputs)).tobytes()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoder):
            return NotImplemented
        own, others = (self.input_shape, self.width), (other.input_shape, other.width)
        return self is other or (own == others and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)
