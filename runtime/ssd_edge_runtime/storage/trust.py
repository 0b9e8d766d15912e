"""The one door through which a model file is read to be used: who signed it, and whether it is an old one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike

from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.model_file.decode import decode
from ssd_edge_runtime.model_file.header import read_header
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import floors, signing
from ssd_edge_runtime.storage.signing import Paths


@dataclass(frozen=True)
class Trust:
    """Whose files are used here; without ``keys`` everybody's."""

    keys: Paths = ()
    """Files of public keys."""
    allow_older: bool = False
    """Whether to take, from now on, an older generation than one that was accepted before."""

    @classmethod
    def here(cls, trusted: Sequence[str | PathLike[str]] = (), *, allow_older: bool = False) -> Trust:
        """Of the ``trusted`` keys and those that the environment variable SSD_EDGE_TRUSTED_KEYS names."""
        return cls((*trusted, *signing.trusted_keys()), allow_older)

    def check_signature(self, path: str | PathLike[str], data: bytes) -> None:
        """Raise EdgeModelError unless a trusted key has signed ``data``, the bytes of ``path`` or a generation."""
        if self.keys:
            signing.check(path, data, self.keys)

    def check_age(self, path: str | PathLike[str], state: ModelState) -> None:
        """Raise EdgeModelError for an old generation of what was accepted at ``path``; remember a newer one."""
        if self.keys and not self.allow_older:
            floors.check(path, state)
        self.remember(path, state)

    def remember(self, path: str | PathLike[str], state: ModelState) -> None:
        """Accept nothing older than ``state`` at ``path`` from now on; where nobody may write, nothing changes."""
        if self.keys:
            with suppress(OSError):
                floors.remember(path, state, lower=self.allow_older)

    def go_back(self, path: str | PathLike[str], data: bytes) -> None:
        """An older generation of ``path``, ``data``, is about to take its place because somebody asked for that.

        Raises EdgeModelError, before anything is changed, unless a trusted key has signed it.
        """
        self.check_signature(path, data)
        if floors.floor_path(path).exists():
            floors.remember(path, decode(read_header(data)), lower=True)

    def check_writer(self, sign_with: str | PathLike[str] | None) -> None:
        """Raise SSDEdgeError where what is signed with this key, or by none, could not be read here again."""
        if not self.keys:
            return
        if sign_with is None:
            raise OptionError("only signed files are loaded here: give --sign-with KEY, so that the result can be")
        EdgeModelError.unless(
            signing.vouches(sign_with, self.keys),
            f"{sign_with} is not among the trusted keys: what it signs could not be loaded again",
        )
