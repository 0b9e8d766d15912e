"""What a file says of itself, read before any of its arrays: whose it is, its digest and its manifest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from os import PathLike

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import manifest as manifests
from ssd_edge_runtime.model_file.container import (
    DIGEST_KEY,
    DIGEST_LENGTH,
    FORMAT,
    FORMAT_KEY,
    MANIFEST_KEY,
    Container,
    read_file,
    split,
)
from ssd_edge_runtime.model_file.manifest import Manifest
from ssd_edge_runtime.onnx.model_proto import IR_VERSION, OPSET, opset_message
from ssd_edge_runtime.onnx.protobuf import utf8


@dataclass(frozen=True)
class Header:
    """A file of ours: its parts, and its manifest parsed; sizes are not yet checked against the arrays."""

    data: bytes
    parts: Container
    manifest: Manifest

    @property
    def digest(self) -> str:
        """The digest that the file carries; that of its bytes, where it was checked."""
        return _carried(self.parts)


def read_header(data: bytes, *, verify: bool = True) -> Header:
    """Split a file, check that it is ours, check its digest (unless ``verify`` is false), and parse its manifest.

    :raises EdgeModelError: for anything else than a file of a known format, naming what is wrong with it.
    """
    parts = _ours(data)
    if verify:
        _check_digest(data, parts)
    return Header(data, parts, manifests.decode(bytes(parts.metadata[MANIFEST_KEY])))


@dataclass(frozen=True)
class Damaged:
    """A file that cannot be read."""

    problem: str
    previous: str | None
    """Digest of the file whose place it took, as far as it still tells."""


def examine_header(data: bytes) -> Header | Damaged:
    """What :func:`read_header` gives, or what is wrong; its manifest is parsed once, whatever becomes of it."""
    problem: EdgeModelError | None = None
    try:
        parts = _ours(data)
        problem = _mismatch(data, parts)
        document = manifests.parse(bytes(parts.metadata[MANIFEST_KEY]))
    except EdgeModelError as error:
        return Damaged(str(problem or error), None)
    try:
        if problem is None:
            return Header(data, parts, manifests.checked(document))
    except EdgeModelError as error:
        problem = error
    try:
        return Damaged(str(problem), manifests.place_in(document)[1])
    except EdgeModelError:
        return Damaged(str(problem), None)


@dataclass(frozen=True)
class FilePlace:
    """Where a file belongs among the generations of a model."""

    digest: str
    generation: int
    previous: str | None
    """Digest of the file whose place it took; None for the first."""


def read_place(data: bytes, *, verify: bool = True) -> FilePlace:
    """A file's place, by far quicker than its whole manifest, of which nothing else is looked at.

    :raises EdgeModelError: for no file of ours, and where ``verify``, for one whose digest is wrong.
    """
    parts = _ours(data)
    if verify:
        _check_digest(data, parts)
    return FilePlace(_carried(parts), *manifests.decode_place(bytes(parts.metadata[MANIFEST_KEY])))


def stored_digest(data: bytes) -> str:
    """The digest that a file carries, not checked against its bytes.

    :raises EdgeModelError: if it is no file of ours.
    """
    return _carried(_ours(data))


def file_digest(path: str | PathLike[str]) -> str | None:
    """The digest that the file at ``path`` carries; None if it is no model file. Raises OSError."""
    try:
        return stored_digest(read_file(path))
    except EdgeModelError:
        return None


def digest_of(data: bytes) -> str:
    """The digest that ``data`` should carry: sha256 with its own 64 digits as zeros.

    :raises EdgeModelError: if ``data`` is no file of ours.
    """
    return _computed(data, _ours(data))


def checked_digest(data: bytes) -> str:
    """The digest that ``data`` carries and should carry.

    :raises EdgeModelError: if the two differ, or ``data`` is no file of ours.
    """
    parts = _ours(data)
    _check_digest(data, parts)
    return _carried(parts)


def _ours(data: bytes) -> Container:
    """The parts of a file; refuses files of others, unknown formats, and what ours do not hold."""
    parts = split(data)
    metadata = parts.metadata
    if FORMAT_KEY not in metadata:
        raise EdgeModelError(f"an ONNX model, but not one of SSD-Edge's (it has no {FORMAT_KEY})")
    number = utf8(metadata[FORMAT_KEY][:20], FORMAT_KEY)
    if number != str(FORMAT):
        raise EdgeModelError(
            f"{FORMAT_KEY} {number!r} is not known to this version, which reads {FORMAT}: upgrade"
        )
    for key in (MANIFEST_KEY, DIGEST_KEY):
        EdgeModelError.unless(key in metadata, f"the file has no {key}")
    if len(metadata) > 3:
        extra = min(set(metadata) - {FORMAT_KEY, MANIFEST_KEY, DIGEST_KEY})
        raise EdgeModelError(f"metadata key {extra[:80]!r} is not understood")
    if len(metadata[DIGEST_KEY]) != DIGEST_LENGTH:
        raise EdgeModelError(f"{DIGEST_KEY} must have {DIGEST_LENGTH} hexadecimal digits")
    if parts.unknown is not None:
        raise EdgeModelError(f"the file has field {parts.unknown} of ModelProto, which is not understood")
    if parts.ir_version != IR_VERSION:
        raise EdgeModelError(f"IR version must be {IR_VERSION}, got {parts.ir_version}")
    if parts.opsets != [opset_message().tobytes()]:
        raise EdgeModelError(f"the only operator set must be ONNX's own, version {OPSET}")
    return parts


def _carried(parts: Container) -> str:
    return bytes(parts.metadata[DIGEST_KEY]).decode("ascii", "replace")


def _computed(data: bytes, parts: Container) -> str:
    """sha256 of the file with the digest's own digits as zeros, 64 hexadecimal digits."""
    view, at = memoryview(data), parts.digest_at
    digest = hashlib.sha256(view[:at])
    digest.update(b"0" * DIGEST_LENGTH)
    digest.update(view[at + DIGEST_LENGTH :])
    return digest.hexdigest()


def _check_digest(data: bytes, parts: Container) -> None:
    """Refuse a file whose bytes are not those that were written."""
    mismatch = _mismatch(data, parts)
    if mismatch is not None:
        raise mismatch


def _mismatch(data: bytes, parts: Container) -> EdgeModelError | None:
    stored, computed = _carried(parts), _computed(data, parts)
    if stored == computed:
        return None
    return EdgeModelError(
        f"digest mismatch, the file was altered or damaged: {DIGEST_KEY} says {stored[:12]}..., "
        f"the bytes say {computed[:12]}..."
    )
