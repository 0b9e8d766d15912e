"""Who signs what is saved, and who is trusted: key pairs, signatures, and the keys that a change is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.storage import locked, signing
from ssd_edge_runtime.storage.seals import Seal
from ssd_edge_runtime.storage.trust import Trust


@dataclass(frozen=True)
class Keys:
    """Key files that loading and saving heed, beside those that SSD_EDGE_TRUSTED_KEYS names."""

    sign_with: str | Path | None = None
    """Private key that signs what is saved; None saves without a signature."""
    trusted: tuple[str | Path, ...] = ()
    """Public keys; where there are any, only what one of them has signed is loaded."""
    allow_older: bool = False
    """Whether to load a signed file that is older than one accepted before, and from then on accept it."""

    @property
    def trust(self) -> Trust:
        """Whose files are used."""
        return Trust.here(self.trusted, allow_older=self.allow_older)

    @property
    def seal(self) -> Seal:
        """Who signs journals, and whose are read."""
        return Seal(self.sign_with, self.trust.keys)

    def check(self) -> None:
        """Raise SSDEdgeError where only signed files are loaded and what is saved would not be one of them."""
        self.trust.check_writer(self.sign_with)

    def fingerprint(self) -> str:
        """What history calls the key that signs; empty without one."""
        return "" if self.sign_with is None else signing.fingerprint(self.sign_with)

    def signer(self, target: Path) -> Callable[[str], None]:
        """What signs a digest of the file at ``target``; without a key to sign with, it does nothing."""
        if self.sign_with is None:
            return lambda digest: None
        return signing.signer(target, self.sign_with)


def keygen(key: str | Path) -> dict[str, Any]:
    """Write a new private key to ``key``, for its owner alone, and the public one to ``key.pub``.

    Returns ``private_key`` and ``public_key``, the two paths. Raises FileExistsError where there is one already,
    MissingExtraError without the sign extra.

    >>> keygen("device.key")  # doctest: +SKIP
    {'private_key': 'device.key', 'public_key': 'device.key.pub'}
    """
    return {"private_key": str(key), "public_key": str(signing.generate(Path(key)))}


def sign(model: str | Path, key: str | Path, *, lock_timeout: float = 10.0) -> dict[str, Any]:
    """Sign the file ``model`` as it is now with a private key; the signature stands beside it.

    ``lock_timeout``: seconds to wait for another process that is writing the file. Returns ``file``, ``digest``
    and ``signature``, the path. Raises EdgeModelError, MissingExtraError or OSError.

    >>> sign("model.onnx", "device.key")["signature"]  # doctest: +SKIP
    'model.onnx.sig'
    """
    with locked(model, lock_timeout):
        digest = signing.sign(model, key)
    return {"file": str(model), "digest": digest, "signature": str(signing.signature_path(Path(model)))}


def check_signature(model: str | Path, key: str | Path) -> dict[str, Any]:
    """Whether the owner of the public ``key`` has signed ``model``, as one of the checks of ``verify``.

    Returns ``check``, ``ok`` and ``detail``. Raises EdgeModelError where ``key`` is no public key, OSError where a
    file cannot be read.

    >>> check_signature("model.onnx", "device.key.pub")["ok"]  # doctest: +SKIP
    True
    """
    signing.public_key(key)
    try:
        signing.check(model, read_file(model), [key])
    except EdgeModelError as error:
        return {"check": "signature", "ok": False, "detail": str(error)}
    return {"check": "signature", "ok": True, "detail": f"by the owner of {key}"}
