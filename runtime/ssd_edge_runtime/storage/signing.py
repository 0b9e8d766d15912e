"""Who vouches for a file: Ed25519 signatures over its digest, in ``model.onnx.sig`` beside it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime.errors import EdgeModelError, MissingExtraError
from ssd_edge_runtime.files import open_regular
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import checked_digest, file_digest
from ssd_edge_runtime.storage import generations
from ssd_edge_runtime.storage.atomic import replace_atomically, write_synced
from ssd_edge_runtime.storage.places import beside, place_of

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

TRUSTED_KEYS = "SSD_EDGE_TRUSTED_KEYS"
"""Environment variable: public key files; where it is set, only files signed by one of them are loaded."""
CONTEXT = b"ssd-edge model 1\n"
LARGEST = 1 << 20
MOST = 32
"""Signatures of one file; each takes a reader time."""
LETTERS = generations.DIGEST_LETTERS
Paths = Sequence[str | PathLike[str]]


def signature_path(path: Path) -> Path:
    """``model.onnx.sig`` beside ``model.onnx``: one line ``DIGEST SIGNATURE`` for each state that is signed."""
    return beside(path, "sig")


def generate(path: Path) -> Path:
    """Write a new private key (PEM, for the owner alone) to ``path``; returns the public one's path, ``.pub``.

    Raises FileExistsError where there is one already.
    """
    ed25519, serialization = _library()
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    beside = path.with_name(f"{path.name}.pub")
    if beside.exists():
        raise FileExistsError(17, "File exists", str(beside))
    write_synced(path, private, 0o600)
    write_synced(beside, public, 0o644)
    return beside


def sign(path: str | PathLike[str], key: str | PathLike[str]) -> str:
    """Sign the sound model file at ``path`` with the private ``key`` file; returns its digest.

    Raises EdgeModelError, MissingExtraError or OSError.
    """
    place = place_of(path)
    digest = checked_digest(read_file(place))
    signer(place, key)(digest)
    return digest


def signer(path: str | PathLike[str], key: str | PathLike[str]) -> Callable[[str], None]:
    """A function that adds the signature of a digest to those of the file at ``path``: ``announce`` of a save.

    Signatures of the file as it is and of its earlier generations stay, so a save that is cut off, and a rollback,
    leave a signed file. The caller holds the writer's lock when it calls.
    """
    place, private = place_of(path), private_key(key)

    def announce(digest: str) -> None:
        signature = base64.b64encode(private.sign(CONTEXT + digest.encode())).decode()
        _write(place, [*(line for line in _kept(place) if line != (digest, signature)), (digest, signature)])

    return announce


def prune(place: Path) -> None:
    """Drop the signatures of what is neither the file at ``place`` nor one of its generations. Raises OSError."""
    kept = _kept(place)
    if len(kept) < sum(1 for _ in _lines(place)):
        _write(place, kept)


def _kept(place: Path) -> list[tuple[str, str]]:
    if not signature_path(place).exists():
        return []
    there = {name.name.split("-")[1][:LETTERS] for _, name in generations.stored_files(place)}
    if place.exists():
        there.add((file_digest(place) or "")[:LETTERS])
    return [line for line in _lines(place) if line[0][:LETTERS] in there]


def _write(place: Path, lines: Sequence[tuple[str, str]]) -> None:
    text = "".join(f"{digest} {signature}\n" for digest, signature in lines)
    replace_atomically(signature_path(place), text.encode(), like=place)


def check(path: str | PathLike[str], data: bytes, keys: Paths) -> None:
    """Raise EdgeModelError unless one of the public ``keys`` files has signed ``data``, the bytes of ``path``."""
    digest = checked_digest(data)
    signatures = {signature for signed, signature in _lines(place_of(path)) if signed == digest}
    if not signatures:
        raise EdgeModelError(f"not signed: {signature_path(Path(path))} has no signature of this file")
    EdgeModelError.unless(len(signatures) <= MOST, f"not signed: more than {MOST} signatures of one file")
    publics = [public_key(key) for key in keys]
    if not any(_holds(public, signature, digest) for public in publics for signature in signatures):
        raise EdgeModelError("not signed by a trusted key")


def trusted_keys() -> list[str]:
    """The device's own rule: the files that the environment variable names.

    Raises EdgeModelError where it is set and names none: whoever set it did not mean that everybody be trusted.
    """
    told = os.environ.get(TRUSTED_KEYS)
    if told is None:
        return []
    names = [name for name in told.split(os.pathsep) if name]
    EdgeModelError.unless(bool(names), f"{TRUSTED_KEYS} is set and names no key: name a file, or unset it")
    return names


def vouches(key: str | PathLike[str], trusted: Paths) -> bool:
    """Whether what ``key`` signs is trusted."""
    own = private_key(key).public_key().public_bytes_raw()
    return own in [public_key(each).public_bytes_raw() for each in trusted]


def fingerprint(key: str | PathLike[str]) -> str:
    """What a private ``key`` file is called in a history: the first digits of the sha256 of its public key."""
    return hashlib.sha256(private_key(key).public_key().public_bytes_raw()).hexdigest()[:LETTERS]


def private_key(path: str | PathLike[str]) -> Ed25519PrivateKey:
    """The Ed25519 key in a PEM file without a password."""
    ed25519, serialization = _library()
    key: Ed25519PrivateKey = _parsed(
        path, lambda data: serialization.load_pem_private_key(data, None), ed25519.Ed25519PrivateKey
    )
    return key


def public_key(path: str | PathLike[str]) -> Ed25519PublicKey:
    """The Ed25519 key in a PEM file."""
    ed25519, serialization = _library()
    key: Ed25519PublicKey = _parsed(path, serialization.load_pem_public_key, ed25519.Ed25519PublicKey)
    return key


def _parsed(path: str | PathLike[str], parse: Callable[[bytes], Any], kind: type) -> Any:
    what = "private" if "Private" in kind.__name__ else "public"
    data = _read(Path(path))
    try:
        key = parse(data)
    except Exception as error:  # whatever the library raises, it could not be read
        raise EdgeModelError(f"{path}: not a {what} key in PEM without a password") from error
    if not isinstance(key, kind):
        raise EdgeModelError(f"{path}: not an Ed25519 key")
    return key


def _library() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtraError("signing", "sign") from None
    return ed25519, serialization


def _holds(public: Ed25519PublicKey, signature: str, digest: str) -> bool:
    try:
        return made(public, base64.b64decode(signature, validate=True), CONTEXT + digest.encode())
    except binascii.Error:
        return False


def made(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether the owner of ``public`` has signed the message."""
    from cryptography.exceptions import InvalidSignature

    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _read(path: Path) -> bytes:
    with open_regular(path, EdgeModelError) as stream:
        return stream.read(LARGEST)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    file = signature_path(path)
    if not file.exists():
        return
    # One line at a time: a million lists held at once would be looked through by the collector again and again.
    for line in _read(file).decode("ascii", "replace").splitlines():
        digest, space, signature = line.partition(" ")
        if space and " " not in signature:
            yield digest, signature
