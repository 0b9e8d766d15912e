"""A model that several threads share, written to its file with what was done to it entered in its ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from os import PathLike

from ssd_edge_runtime.ledger.entries import Entry, Remarks, now
from ssd_edge_runtime.ledger.ledger import begun
from ssd_edge_runtime.serving.shared_model import SharedModel
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage.places import place_of
from ssd_edge_runtime.storage.source import Source, save_state


def save_shared(
    shared: SharedModel,
    path: str | PathLike[str],
    source: Source | None,
    remarks: Remarks | None,
    *,
    keep: int,
    keep_replaced: bool,
    announce: Callable[[str], None],
) -> Source:
    """Write ``shared``, which came from ``source``, to ``path``; options as of ``EdgeModel.save``.

    The caller holds its lock. Raises EdgeModelError or OSError, and what was done stays to be entered.
    """

    def entered(state: ModelState) -> ModelState:
        entry = shared.diary.entry(state.classes, state.class_samples, state.generation, remarks)
        told = [*_gone_back(shared.state, state, path, source), entry]
        parent = source.digest if source else state.parent
        before = state.ledger or begun(shared.state.parent)
        ledger = before.after(parent, told, shared.diary.joins, not keep_replaced)
        return replace(state, ledger=ledger.without(remarks.unnamed) if remarks else ledger)

    state, saved = save_state(
        shared.whole(),
        path,
        source,
        entered=entered if shared.changed else None,
        keep=keep,
        keep_replaced=keep_replaced,
        announce=announce,
    )
    if shared.changed:
        changes = {"generation": state.generation, "parent": state.parent, "replaced": state.replaced}
        shared.replace(**changes, ledger=state.ledger)
        shared.diary.close()
    shared.changed = False
    return saved


def _gone_back(
    before: ModelState, after: ModelState, path: str | PathLike[str], source: Source | None
) -> list[Entry]:
    """That generations between a file and what comes after it in its place were rolled back."""
    rejected = range(before.generation + 1, after.generation)
    if source is None or source.path != place_of(path) or not rejected:
        return []
    what = f"from {rejected[-1]} to {before.generation}"
    return [Entry("rollback", before.generation, now(), what=what)]
