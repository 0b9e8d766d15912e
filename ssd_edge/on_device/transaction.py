"""Load, change and save a model as one step that no other process can come between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge.cli.arguments import remembered
from ssd_edge.on_device.inputs import load_model
from ssd_edge.on_device.resume import refuse_unfinished
from ssd_edge_runtime import EdgeModel, storage
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.storage import signing


@dataclass
class Change:
    """A model that is being changed, and where it will be saved."""

    model: EdgeModel
    target: Path
    keep: int
    saved: bool = False
    """Whether what stands at ``target`` is a checkpoint of this very change, and so no generation to return to."""

    @property
    def model_bytes(self) -> int:
        """Size of the file at ``target``, 0 if there is none yet."""
        return self.target.stat().st_size if self.target.exists() else 0

    def save(self, announce: Callable[[str], None] = lambda digest: None) -> dict[str, Any]:
        """Save atomically; once this returns it is on storage. ``announce`` hears the new digest before."""
        key = remembered("sign_with")
        sign = signing.signer(self.target, key) if key else lambda digest: None

        def both(digest: str) -> None:
            sign(digest)
            announce(digest)

        self.model.save(self.target, keep=self.keep, keep_replaced=not self.saved, announce=both)
        self.saved = True
        return saved_as(self.model, self.target)


@contextmanager
def changing(
    model: Path,
    output: Path | None,
    keep: int,
    lock_timeout: float,
    *,
    verify: bool = True,
    learning: bool = False,
    threads: int = 1,
) -> Iterator[Change]:
    """Hold the writer's lock of the file that will be replaced, from before it is read.

    Unless this is ``learning`` itself, refuse while learning that was cut off could still go on from that file.
    """
    if not model.exists():
        raise FileNotFoundError(2, "No such file", str(model))
    target = output or model
    check_signing()
    with storage.locked(target, lock_timeout):
        change = Change(load_model(model, verify=verify, threads=threads), target, keep)
        if not learning and output is None:
            refuse_unfinished(target, change.model.digest)
        yield change


def check_signing() -> None:
    """Refuse to write, where only signed files are loaded, a file that would not be. Raises SSDEdgeError."""
    key, trusted = remembered("sign_with"), [*(remembered("trusted") or ()), *signing.trusted_keys()]
    if not trusted:
        return
    if not key:
        raise OptionError("only signed files are loaded here: give --sign-with KEY, so that the result can be")
    signing.check_signer(key, trusted)


def saved_as(model: EdgeModel, path: Path) -> dict[str, Any]:
    """What every command that saves a model reports."""
    state = model.state
    return {
        "file": str(path),
        "generation": state.generation,
        "classes": list(state.classes),
        "samples_seen": state.samples_seen,
    }
