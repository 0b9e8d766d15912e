"""The file around the graphs: ONNX's ``ModelProto`` with three metadata entries, and the digest over its bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from os import PathLike

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.files import open_regular
from ssd_edge_runtime.onnx.model_proto import (
    GRAPH,
    IR,
    METADATA,
    OPSETS,
    PRODUCER,
    PRODUCER_NAME,
    TRAINING,
    model_message,
)
from ssd_edge_runtime.onnx.protobuf import Message, fields, utf8

FORMAT = 1
"""The one format number that this version writes and reads."""
FORMAT_KEY, MANIFEST_KEY, DIGEST_KEY = "ssd_edge.format", "ssd_edge.manifest", "ssd_edge.digest"
DIGEST_LENGTH = 64
MAX_METADATA = 100
"""Entries; ours are three, and a file with a few more is refused by their names."""
MAX_FILE = 2**31 - 1
"""Protobuf's own limit on the size of a message."""


@dataclass
class Container:
    """The parts of a file, as views of its bytes; nothing in them is checked yet."""

    graph: memoryview
    opsets: list[memoryview] = field(default_factory=list)
    ir_version: int = 0
    training: list[memoryview] = field(default_factory=list)
    metadata: dict[str, memoryview] = field(default_factory=dict)
    digest_at: int = -1
    """Offset of the digest's 64 hexadecimal digits."""
    unknown: int | None = None
    """A field that our files do not have."""


def read_file(path: str | PathLike[str]) -> bytes:
    """The bytes of a regular file no larger than protobuf allows.

    :raises EdgeModelError: for a device or pipe, which may never end, and for a file that is too large.
    :raises OSError: if the file cannot be read.
    """
    with open_regular(path, EdgeModelError) as stream:
        size = os.fstat(stream.fileno()).st_size
        EdgeModelError.unless(size <= MAX_FILE, f"{path} has {size} bytes, more than protobuf's {MAX_FILE}")
        return stream.read(MAX_FILE)


def metadata_message(key: str, value: bytes) -> Message:
    """A ``StringStringEntryProto``."""
    return Message().text(1, key).data(2, value)


def join(graph: Message, manifest: bytes, training: Message | None) -> bytes:
    """Put a file together; its digest is computed over all other bytes.

    :raises EdgeModelError: if the file would exceed protobuf's 2 GiB.
    """
    zeros = b"0" * DIGEST_LENGTH
    model = model_message(graph)
    model.message(METADATA, metadata_message(FORMAT_KEY, b"%d" % FORMAT))
    model.message(METADATA, metadata_message(MANIFEST_KEY, manifest))
    model.message(METADATA, metadata_message(DIGEST_KEY, zeros))
    at = len(model.parts) - 1
    assert model.parts[at] == zeros
    if training is not None:
        model.message(TRAINING, Message().message(2, training))
    if model.size > MAX_FILE:
        raise EdgeModelError(f"the file would have {model.size} bytes, beyond protobuf's {MAX_FILE}")
    digest = hashlib.sha256()
    for part in model.parts:
        digest.update(part)
    model.parts[at] = digest.hexdigest().encode()
    return model.tobytes()


def _metadata(entry: memoryview, at: int) -> Iterator[tuple[str, memoryview, int]]:
    key, text, text_at = "", memoryview(b""), at
    for number, value, offset in fields(entry, most=2):
        if number == 1 and isinstance(value, memoryview):
            key = utf8(value, "a metadata key")
        elif number == 2 and isinstance(value, memoryview):
            text, text_at = value, at + offset
        else:
            raise EdgeModelError(f"a metadata entry has field {number}, which is not understood")
    yield key, text, text_at


def split(data: bytes) -> Container:
    """Walk the top-level fields of ``data``.

    :raises EdgeModelError: where the bytes are not an ONNX model at all.
    """
    if not data:
        raise EdgeModelError("the file is empty")
    container = Container(memoryview(b""))
    try:
        graphs = _collect(container, memoryview(data))
    except EdgeModelError as error:
        raise EdgeModelError(f"not an ONNX model, or cut short: {error}") from None
    if graphs != 1 or not container.ir_version:
        raise EdgeModelError("not an ONNX model: it has no graph and IR version")
    return container


def _collect(container: Container, data: memoryview) -> int:
    graphs = 0
    for number, value, at in fields(data):
        if number == IR and isinstance(value, int):
            container.ir_version = value
        elif isinstance(value, int):
            container.unknown = number
        elif number == GRAPH:
            container.graph = value
            graphs += 1
        elif number == OPSETS:
            container.opsets.append(value)
        elif number == TRAINING:
            container.training.append(value)
        elif number == METADATA:
            EdgeModelError.unless(len(container.metadata) < MAX_METADATA, "it has too much metadata")
            for key, text, text_at in _metadata(value, at):
                if key in container.metadata:
                    raise EdgeModelError(f"metadata key {key[:80]!r} stands twice")
                container.metadata[key] = text
                if key == DIGEST_KEY:
                    container.digest_at = text_at
        elif number != PRODUCER or value != PRODUCER_NAME.encode():
            container.unknown = number
    return graphs
