"""Checkpoints of one piece of learning, in a journal beside the file that it will be saved as."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger.ledger import LETTERS
from ssd_edge_runtime.model import EdgeModel
from ssd_edge_runtime.model_file import read_file
from ssd_edge_runtime.model_file.header import read_header
from ssd_edge_runtime.network.features import features_digest
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.atomic import sync_folder
from ssd_edge_runtime.storage.journal import Journal, aside_path, journal_path
from ssd_edge_runtime.storage.seals import UNSEALED, Seal

BEGIN, END = "begin", "end"
MOST_ENDS = 1000
"""Records behind the last lesson that are looked at; each time that a result is about to be saved there is one."""


@dataclass(eq=False)
class Unfinished:
    """What a learning that was cut off has left."""

    journal: Journal
    plan: dict[str, Any]
    """What decides its result: data and options."""
    parent: str
    """Digest of the file that it began from."""
    progress: dict[str, int]
    """As given with the last checkpoint; empty if there was none."""
    ended: str | None
    """Digest of the file that it was about to be saved as, if it came so far."""
    features: str | None = None
    """Digest of what makes the codes in it; None in a journal of an earlier version, and where it holds none."""
    classes: list[str] | None = None
    """What the model knew at the beginning, which the order of samples depends on."""

    def finished(self, target: Path) -> bool:
        """Whether that file is in its place, or what grew from it: nothing was lost but the report."""
        if self.ended is None or not target.exists():
            return False
        try:
            header = read_header(read_file(target))
        except EdgeModelError:
            return False
        return self.ended == header.digest or self.ended[:LETTERS] in header.manifest.ledger.ancestors()

    def of_another(self, digest: str | None) -> bool:
        """Whether it began from another file than the one with ``digest``."""
        return self.parent != digest

    def fits(self, model: EdgeModel) -> bool:
        """Whether its lessons can be added to ``model``, exactly, whatever file they began from."""
        return self.features is not None and self.features == features_digest(model.state)

    def move(self, model: EdgeModel, seal: Seal = UNSEALED) -> Unfinished:
        """Let it go on from ``model``, which it fits, as if it had begun there; atomic. Raises OSError."""
        head = records.decode(self.journal[0])[0] | {"parent": model.digest}
        lessons = [self.journal[index] for index in range(1, len(self.journal))]
        lessons = [record for record in lessons if "progress" in records.decode(record)[0]]
        self.journal = Journal.create(self.journal.path, records.encode(head, {}), *lessons, seal=seal)
        self.parent, self.ended = head["parent"], None
        return self

    def set_aside(self) -> Path:
        """Rename the journal, so that no other takes its place; returns where it is. Raises OSError."""
        place = aside_path(self.journal.path.with_suffix(""), self.parent)
        self.journal.path.rename(place)
        sync_folder(place.parent)
        return place

    def replay(self, model: EdgeModel) -> list[str]:
        """Bring ``model``, just loaded from the parent file, to the last checkpoint.

        Returns, in words, what had to be left out: lessons that no file could hold. Raises EdgeModelError for a
        state that is not of this model.
        """
        refused = []
        for index in range(1, len(self.journal)):
            record = self.journal[index]
            if "progress" in records.decode(record)[0]:
                refused += self._replay(model, record, index)
        return refused

    def _replay(self, model: EdgeModel, record: bytes, index: int) -> list[str]:
        try:
            return model.replay(record)
        except EdgeModelError as error:
            if model.learning is not None:  # the one record is all there is
                raise
            return [f"record {index}: {error}"]


def find(target: Path, seal: Seal = UNSEALED) -> Unfinished | None:
    """The journal beside ``target``, if there is one.

    Raises EdgeModelError if it is damaged, or not signed by a key that ``seal`` trusts, OSError.
    """
    path = journal_path(target)
    if not path.exists():
        return None
    journal = Journal.open(path, seal)
    head = records.decode(journal[0])[0] if len(journal) else {}
    plan, parent = head.get("plan"), head.get("parent")
    features, classes = head.get("features"), head.get("classes")
    known = isinstance(features, str | None) and (classes is None or _are(str, classes))
    if not known or head.get("kind") != BEGIN or not isinstance(plan, dict) or not isinstance(parent, str):
        raise EdgeModelError(f"{path} is damaged from its first record on: nothing in it can be used, delete it")
    progress, ended = _last_words(journal)
    return Unfinished(journal, plan, parent, progress, ended, features, classes)


def _last_words(journal: Journal) -> tuple[dict[str, int], str | None]:
    """The progress of the last checkpoint, and the digest that stands behind it if the result was announced."""
    ended: str | None = None
    for index in range(len(journal) - 1, max(0, len(journal) - 1 - MOST_ENDS), -1):
        fields = records.decode(journal[index])[0]
        if "progress" in fields:
            progress = fields["progress"]
            good = isinstance(progress, dict) and _are(int, list(progress.values()))
            EdgeModelError.unless(good, f"{journal.path} is damaged: its progress is none, delete it")
            return progress, ended
        if index == len(journal) - 1 and fields.get("kind") == END:
            told = fields.get("digest")
            ended = told if isinstance(told, str) else None
    EdgeModelError.unless(
        len(journal) - 1 <= MOST_ENDS, f"{journal.path} is damaged: it holds no lessons, delete it"
    )
    return {}, ended


def _are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)


class Checkpoints:
    """Writes the journal of a ``model`` that learns; the caller holds the writer's lock of ``target``."""

    def __init__(self, model: EdgeModel, target: Path, plan: dict[str, Any], seal: Seal = UNSEALED) -> None:
        """Nothing is written before :meth:`begin` or :meth:`go_on`."""
        self._model, self._target, self._plan, self._seal = model, target, plan, seal
        self.whole = model.state.readout.kind == "gradient"
        """Whether a checkpoint is the whole state, as large as the file."""
        self._journal: Journal | None = None
        self._ends: set[int] = set()
        """Places in the journal of what is no lesson: of announcements."""
        self.count = 0
        """Checkpoints written, those of :meth:`go_on` included."""

    @property
    def path(self) -> Path:
        """Where the journal is."""
        return journal_path(self._target)

    @property
    def size(self) -> int:
        """Bytes of the journal."""
        return self._journal.end if self._journal else 0

    def begin(self) -> None:
        """Start an empty journal in the place of any other."""
        self._journal = None
        self._remember()  # what was learned until now is in the file
        self._open()
        self.count = 0

    def _open(self, *lessons: bytes) -> Journal:
        self._ends = set()
        self._journal = Journal.create(self.path, self._head(), *lessons, seal=self._seal)
        return self._journal

    def go_on(self, unfinished: Unfinished) -> list[str]:
        """Continue a journal whose plan is the same, from its last checkpoint; returns what was left out."""
        refused = unfinished.replay(self._model)
        self._journal = unfinished.journal
        self._remember()
        self.count = 1 if unfinished.progress else 0
        return refused

    def write(self, progress: dict[str, int], *, sync: bool = True) -> None:
        """Put what was learned since the last checkpoint on storage.

        The record of a gradient readout is the whole state, so it replaces the one before. Another's need not be
        flushed, ``sync``: it then outlives this process, but a power cut only from the next flush on. Raises
        OSError; the last checkpoint then stays, and the next one holds what this one should have.
        """
        if self.whole:
            self._open(self._model.record(progress))
        else:
            journal = self._journal or self._open()
            self._ends = {place for place in self._ends if place < len(journal)}
            # Broken off anywhere, the next one goes by what has come into the journal by then.
            journal.append(self._model.record(progress, len(journal) - len(self._ends)), sync=sync)
        self.count += 1

    def flush(self) -> None:
        """Put on storage what was written without. Raises OSError."""
        if self._journal is not None:
            self._journal.flush()

    def announce(self, digest: str) -> None:
        """Note, before the result takes its place, which file it is; so it is recognized after a kill."""
        assert self._journal is not None
        self._ends.add(len(self._journal))
        self._journal.append(records.encode({"kind": END, "digest": digest}, {}))

    def drop(self) -> None:
        """The result is on storage, or not wanted: remove the journal."""
        if self._journal is not None:
            self._journal.remove()
            self._journal = None

    def _remember(self) -> None:
        if not self.whole:
            self._model.record({})

    def _head(self) -> bytes:
        state = self._model.state
        head: dict[str, Any] = {"kind": BEGIN, "plan": self._plan, "parent": self._parent()}
        if not self.whole:
            head |= {"features": features_digest(state), "classes": state.classes}
        return records.encode(head, {})

    def _parent(self) -> str:
        digest = self._model.digest
        if digest is None:
            raise EdgeModelError("a model needs a file to keep a journal beside: save it first")
        return digest
