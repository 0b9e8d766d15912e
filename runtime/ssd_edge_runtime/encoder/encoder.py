"""The encoder: a frozen ONNX network in front of the model, samples in, embeddings out.

Its nodes and initializers are carried as the bytes that stand in the file; ONNX Runtime is what runs them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from math import prod
from os import PathLike

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.structure import ENCODER_OUTPUT, EncoderShape
from ssd_edge_runtime.onnx.session import open_session, run_session

PREFIX = "encoder."
"""What the name of every value inside an encoder begins with."""
INPUT, OUTPUT = "input", ENCODER_OUTPUT
"""What an encoder reads, float32 (batch, *input_shape), and what the model reads of it, float32 (batch, width)."""
NODE, INITIALIZER = 1, 5
"""Fields of ``GraphProto``."""
BLOCK_VALUES = 2**20
"""Values of the samples that go through an encoder together: what its layers hold at a time is many times more."""
MAX_BLOCK = 256


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

    def __post_init__(self) -> None:
        from ssd_edge_runtime.encoder.parts import check_parts

        check_parts(self.nodes, self.tensors)

    @classmethod
    def from_onnx(cls, source: bytes | str | PathLike[str], name: str | None = None) -> Encoder:
        """The encoder in somebody's ONNX model, brought to operator set 18 and into normal form.

        It must have one float32 input whose dimensions, apart from the batch, are fixed, one float32 output, and
        only ONNX's own operators, without control flow. It is run once here: its answers must be finite, those of
        the original, and the same for a sample alone as for a sample among others. Needs onnxruntime.

        Raises :class:`EdgeModelError`, in one line, for anything else; OSError if the file cannot be read.
        """
        from ssd_edge_runtime.encoder.convert import import_encoder

        return import_encoder(source, name)

    @cached_property
    def digest(self) -> str:
        """sha256, 64 hexadecimal digits, of the nodes and initializers as fields of ``GraphProto``."""
        from ssd_edge_runtime.onnx.protobuf import LENGTH, varint

        digest = hashlib.sha256()
        for number, messages in ((NODE, self.nodes), (INITIALIZER, self.tensors)):
            for message in messages:
                digest.update(varint(number << 3 | LENGTH) + varint(len(message)))
                digest.update(message)
        return digest.hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of its nodes and initializers."""
        return sum(map(len, self.nodes)) + sum(map(len, self.tensors))

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
        from ssd_edge_runtime.model_file import container
        from ssd_edge_runtime.model_file.graph import value_info
        from ssd_edge_runtime.onnx.protobuf import Message

        graph = Message()
        for node in self.nodes:
            graph.data(NODE, node)
        graph.text(2, "encoder")
        for tensor in self.tensors:
            graph.data(INITIALIZER, tensor)
        graph.data(11, value_info(INPUT, ("batch", *self.input_shape)))
        graph.data(12, value_info(OUTPUT, ("batch", self.width)))
        return container.write_plain(graph)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoder):
            return NotImplemented
        own, others = (self.input_shape, self.width), (other.input_shape, other.width)
        return self is other or (own == others and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash(self.digest)


class EncoderSession:
    """An encoder loaded into ONNX Runtime; several threads may embed at once."""

    def __init__(self, encoder: Encoder, threads: int = 1) -> None:
        """Raise :class:`EdgeModelError` without onnxruntime, or where it does not take the encoder."""
        self._encoder = encoder
        try:
            self._session = open_session(encoder.to_onnx(), threads)
        except ImportError as error:
            raise EdgeModelError(
                f"this model has an encoder ({encoder.name}), which needs onnxruntime: pip install onnxruntime"
            ) from error
        except EdgeModelError as error:
            raise EdgeModelError(f"encoder {encoder.name}: {error}") from error

    def embed(self, x: Float32) -> Float32:
        """Embeddings float32 (N, width) of samples float32 (N, *input_shape) or (N, their number of values).

        Raises :class:`EdgeModelError` where an embedding is not finite, or of another shape than was told.
        """
        samples = np.ascontiguousarray(x, np.float32).reshape(-1, *self._encoder.input_shape)
        size = self._encoder.block
        if len(samples) <= size:
            return self._embed(samples, 0)
        starts = range(0, len(samples), size)
        return np.concatenate([self._embed(samples[start : start + size], start) for start in starts])

    def _embed(self, samples: Float32, start: int) -> Float32:
        try:
            embeddings: Float32 = run_session(self._session, OUTPUT, samples)
        except EdgeModelError as error:
            raise EdgeModelError(f"encoder {self._encoder.name}: {error}") from error
        wanted = (len(samples), self._encoder.width)
        if embeddings.dtype != np.float32 or embeddings.shape != wanted:
            raise EdgeModelError(
                f"encoder {self._encoder.name} gave {embeddings.dtype} {embeddings.shape}, not float32 {wanted}"
            )
        finite = np.isfinite(embeddings).all(axis=1)
        if not finite.all():
            raise EdgeModelError(
                f"encoder {self._encoder.name} gives NaN or infinity for sample {start + int(finite.argmin())}"
            )
        return embeddings
