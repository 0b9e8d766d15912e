"""What was done to a model since it was last saved."""

from __future__ import annotations

from collections.abc import Sequence

from ssd_edge_runtime.arrays import Int64
from ssd_edge_runtime.ledger.entries import MAX_CLASSES, TOGETHER, Entry, Remarks, clipped, now, shortened

JOINING = frozenset({"merge", "rebase"})


class Diary:
    """Verbs as they are done, and how many samples each class had before; the caller holds the model's lock."""

    def __init__(self) -> None:
        self._verbs: dict[str, dict[str, None]] = {}
        self._renamed: dict[str, str] = {}
        self._before: dict[str, int] | None = None

    def open(self, classes: Sequence[str], counts: Int64) -> None:
        """Before something is done: remember the samples of each class, once until :meth:`close`."""
        if self._before is None:
            self._before = dict(zip(classes, counts.tolist(), strict=True))

    def tell(self, verb: str, *what: str) -> bool:
        """Something is about to be done, and to what; whether that is new."""
        new = verb not in self._verbs
        self._verbs.setdefault(verb, {}).update(dict.fromkeys(what))
        return new

    def take_back(self, verb: str) -> None:
        """It was not done."""
        self._verbs.pop(verb, None)

    def renamed(self, old: str, new: str) -> None:
        """A class has another name."""
        first = next((name for name, now in self._renamed.items() if now == old), old)
        self._renamed[first] = new
        if self._before is not None and old in self._before:
            self._before[new] = self._before.pop(old)

    def forgot(self, name: str) -> None:
        """A class is gone."""
        self.tell("forget", name)
        if self._before is not None:
            self._before.pop(name, None)

    @property
    def joins(self) -> bool:
        """Whether lessons of other files were added."""
        return not JOINING.isdisjoint(self._verbs)

    def entry(self, classes: Sequence[str], counts: Int64, generation: int, remarks: Remarks | None) -> Entry:
        """All of it as one entry; ``counts``: samples per class now."""
        said = remarks or Remarks()
        after = dict(zip(classes, counts.tolist(), strict=True))
        before = after if self._before is None else self._before
        names = dict.fromkeys([*after, *before])
        samples, others = shortened({name: after.get(name, 0) - before.get(name, 0) for name in names})
        what = ", ".join(part for told in self._verbs.values() for part in told)
        return Entry(
            verb=TOGETHER.join(self._verbs) or "change",
            generation=generation,
            time=now(),
            samples=samples,
            others=others,
            what=clipped(what),
            renamed=dict(list(self._renamed.items())[:MAX_CLASSES]),
            note=clipped(said.note),
            guard=said.guard,
            signer=said.signer,
        )

    def close(self) -> None:
        """All of it was saved."""
        self._verbs, self._renamed, self._before = {}, {}, None
