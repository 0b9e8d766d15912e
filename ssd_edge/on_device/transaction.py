"""Load, change and save a model as one step that no other process can come between."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.inputs import Loading, load_model
from ssd_edge.on_device.keys import Keys
from ssd_edge_runtime import EdgeModel, Remarks
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.storage import KEEP, locked
from ssd_edge_runtime.storage.journal import journal_path
from ssd_edge_runtime.storage.purging import finish
from ssd_edge_runtime.storage.seals import UNSEALED, Seal


@dataclass(frozen=True)
class Saving:
    """Where the changed model goes."""

    output: str | Path | None = None
    """Another file, the model's own staying as it is; None for a new generation of that."""
    keep: int = KEEP
    """Earlier generations to keep."""
    lock_timeout: float = 10.0
    """Seconds to wait for another process that is writing the file."""
    note: str = ""
    """Where the lessons came from, for the file's history."""

    def __post_init__(self) -> None:
        OptionError.unless(self.keep >= 0, f"keep must be 0 or more, got {self.keep}")
        OptionError.unless(self.lock_timeout >= 0, f"lock-timeout must be 0 or more, got {self.lock_timeout}")


@dataclass
class Change:
    """A model that is being changed, and where it will be saved."""

    model: EdgeModel
    target: Path
    keep: int
    keys: Keys
    note: str = ""
    guard: float | None = None
    """Accuracy on a guard's data, for the file's history."""
    saved: bool = False
    """Whether what stands at ``target`` is a checkpoint of this very change, and so no generation to return to."""
    source: str | None = None
    """Digest of the file that it began from, where another one is written."""

    @property
    def model_bytes(self) -> int:
        """Size of the file at ``target``, 0 if there is none yet."""
        return self.target.stat().st_size if self.target.exists() else 0

    def save(
        self, announce: Callable[[str], None] = lambda digest: None, unnamed: Collection[str] = ()
    ) -> dict[str, Any]:
        """Save atomically; once this returns it is on storage.

        ``announce`` hears the new digest before; history names the classes ``unnamed`` no more.
        """
        sign = self.keys.signer(self.target)

        def both(digest: str) -> None:
            sign(digest)
            announce(digest)

        remarks = Remarks(self.note, self.guard, self.keys.fingerprint(), unnamed)
        self.model.save(self.target, keep=self.keep, keep_replaced=not self.saved, announce=both, remarks=remarks)
        self.saved = True
        self.keys.trust.remember(self.target, self.model.state)
        return saved_as(self.model, self.target)


@contextmanager
def changing(
    model: str | Path,
    saving: Saving = Saving(),
    *,
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    learning: bool = False,
    once: bool = False,
    tell: Tell = silent,
) -> Iterator[Change]:
    """Hold the writer's lock of the file that will be replaced, from before it is read.

    A change that was cut off is finished first, unless this one, made ``once``, may be the same. Unless this is
    ``learning``, refuse while learning that was cut off could still go on from that file.
    """
    path = Path(model)
    if not path.exists():
        raise FileNotFoundError(2, "No such file", str(path))
    target = path if saving.output is None else Path(saving.output)
    keys.check()
    with locked(target, saving.lock_timeout):
        if not once:
            finish(target)
        change = Change(load_model(path, loading, keys, tell), target, saving.keep, keys, saving.note)
        if saving.output is not None:
            change.source = change.model.digest
        if not learning and saving.output is None:
            refuse_unfinished(target, change.model.digest, keys.seal)
        yield change


def refuse_unfinished(target: Path, digest: str | None, seal: Seal = UNSEALED, *, purging: bool = False) -> None:
    """Refuse another change of a file while learning that was cut off could still go on from it.

    Where the journal would be deleted, by ``purging``, also while it holds lessons for another file.
    """
    found = find(target, seal)
    if not found or not found.progress or found.finished(target):
        return
    if purging or not found.of_another(digest):
        raise OptionError(
            f"{journal_path(target)} holds {found.progress['samples']} samples of learning that was cut off: "
            "finish it with ssd-edge learn --resume, or drop it with --discard"
        )


def saved_as(model: EdgeModel, path: Path) -> dict[str, Any]:
    """What every function that saves a model reports."""
    state = model.state
    return {
        "file": str(path),
        "generation": state.generation,
        "classes": list(state.classes),
        "samples_seen": state.samples_seen,
    }
