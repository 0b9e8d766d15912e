"""Journals that only who holds a trusted key can have written: each record's check is signed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.storage import signing
from ssd_edge_runtime.storage.signing import Paths

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

CONTEXT = b"ssd-edge journal 1\n"
SEAL = 64
"""Bytes of a signature."""


@dataclass(frozen=True)
class Seal:
    """Who signs the records of a journal, and whose are read."""

    sign_with: str | PathLike[str] | None = None
    """Private key file; None: records are not signed."""
    trusted: Paths = ()
    """Public key files; where there are any, one of them must have signed each record."""

    @cached_property
    def _private(self) -> Ed25519PrivateKey:
        assert self.sign_with is not None
        return signing.private_key(self.sign_with)

    @cached_property
    def _publics(self) -> list[Ed25519PublicKey]:
        return [signing.public_key(key) for key in self.trusted]

    def sign(self, check: bytes) -> bytes:
        """The signature of a record with this check, 64 bytes."""
        EdgeModelError.unless(
            self.sign_with is not None, "its journal was begun with --sign-with KEY: go on with it, too"
        )
        return self._private.sign(CONTEXT + check)

    def holds(self, check: bytes, signature: bytes) -> bool:
        """Whether one of the trusted keys made the signature; always, where there are none."""
        return not self.trusted or any(signing.made(key, signature, CONTEXT + check) for key in self._publics)


UNSEALED = Seal()
"""Nobody signs, and everybody's journals are read."""
