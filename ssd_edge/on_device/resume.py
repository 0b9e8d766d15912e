"""Learning that survives being killed: what its journal allows, and when the next checkpoint is due."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ssd_edge.data import Dataset
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime.checkpoints import Checkpoints, Unfinished, find
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.storage.journal import journal_path


@dataclass(frozen=True)
class Resuming:
    """What to do about learning that was cut off, and how often to save on the way."""

    resume: bool = False
    """Go on with it."""
    discard: bool = False
    """Start over."""
    every: int | None = None
    """Checkpoint after so many samples; then no call to the model has more."""
    seconds: float | None = None
    """Checkpoint after so many seconds."""

    @property
    def asked(self) -> bool:
        """Whether it is said how often."""
        return self.every is not None or self.seconds is not None

    def or_else(self, every: int, seconds: float) -> Resuming:
        """The same, checkpoints coming this often where nothing is said."""
        return self if self.asked else replace(self, every=every, seconds=seconds)

    def __post_init__(self) -> None:
        OptionError.unless(not (self.resume and self.discard), "resume and discard exclude each other")
        every, seconds = self.every, self.seconds
        OptionError.unless(every is None or every >= 1, f"checkpoint-every must be at least 1, got {every}")
        OptionError.unless(seconds is None or seconds > 0, f"checkpoint-seconds must be positive, got {seconds}")


def look(
    change: Change, plan: dict[str, Any], how: Resuming, tell: Tell = silent, *, endless: bool = False
) -> Unfinished | None:
    """What to go on from, or None to begin; ``plan`` is what decides the result.

    Samples that are ``endless`` come only once: there, resuming nothing is no mistake.

    Raises OptionError where samples could be counted twice, or where there is nothing to resume.
    """
    path = journal_path(change.target)
    if how.discard:
        return None
    found = find(change.target, change.keys.seal)
    done = found is not None and found.finished(change.target)
    if found and done and endless:
        return None
    if found and not done and found.of_another(change.model.digest):
        return carried(found, change, plan, how, tell)
    if found is None:
        OptionError.unless(endless or not how.resume, f"nothing to resume: there is no {path}")
        return None
    if how.resume:
        check_plan(found, plan)
        return found
    if done:
        if found.plan == plan:
            raise OptionError(
                f"{change.target} has learned just this; the process that did was killed as it ended. "
                "--resume prints its report, --discard learns the same again"
            )
        return None
    if found.progress:
        raise OptionError(
            f"{path} holds {found.progress['samples']} samples of learning that was cut off: "
            "--resume goes on with it, --discard starts over"
        )
    return None


def carried(
    found: Unfinished, change: Change, plan: dict[str, Any], how: Resuming, tell: Tell
) -> Unfinished | None:
    """A journal that began from another file than the one that learns now: moved over to that, or set aside.

    None where nothing is there to go on from. Raises OptionError, naming both, where nobody asked for either.
    """
    samples, fits = found.progress.get("samples", 0), found.fits(change.model)
    if not samples:
        return None
    told = (
        f"{found.journal.path} holds {samples} samples learned on top of the file {found.parent[:12]}..., "
        f"but the model is {str(change.model.digest)[:12]}... now"
    )
    if not how.resume:
        cure = "adds them to it, exactly" if fits else "keeps them under another name, as the features differ"
        raise OptionError(f"{told}: --resume {cure}; --discard drops them")
    if fits:
        check_plan(found, plan)
        tell(f"note: {told}: with the same features, so that they move over to it")
        return found.move(change.model, change.keys.seal)
    place = found.set_aside()
    tell(
        f"note: {told}, with other features: they are kept as {place}. "
        "Beside a copy of that file, as FILE.learning, they can be resumed"
    )
    return None


def check_plan(found: Unfinished, plan: dict[str, Any]) -> None:
    """Raise OptionError unless a journal was begun by ``plan``."""
    OptionError.unless(
        found.plan == plan, f"{found.journal.path} was begun {difference(found.plan, plan)}: resume with the same"
    )


def go_on(work: Checkpoints, unfinished: Unfinished, tell: Tell) -> None:
    """Continue a journal, and name the lessons in it that no file could hold."""
    for lesson in work.go_on(unfinished):
        tell(f"note: left out of what {work.path} holds: {lesson}")


def digest_of_data(dataset: Dataset) -> str:
    """sha256 over samples, labels and class names."""
    total = hashlib.sha256(json.dumps([dataset.x.shape, dataset.classes]).encode())
    for array in (dataset.x, dataset.y):
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Which part of a plan is not the same, in words."""
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            if name == "data":
                return "with other data"
            return f"with {name.replace('_', '-')} {old.get(name)}, not {new.get(name)}"
    return "otherwise"


@dataclass
class Pace:
    """Says when the next checkpoint is due; by a clock that never jumps."""

    how: Resuming
    _samples: int = 0
    _since: float = field(default_factory=time.monotonic)

    def due(self, samples: int) -> bool:
        """Whether one is, ``samples`` more having been learned; if so, the next interval begins."""
        self._samples += samples
        now = time.monotonic()
        late = self.how.seconds is not None and now - self._since >= self.how.seconds
        if not late and not (self.how.every is not None and self._samples >= self.how.every):
            return False
        self._samples, self._since = 0, now
        return True
