"""What happened to a model and what it was made from, as its file keeps it: bounded, and told by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.ledger.diary import Diary
    from ssd_edge_runtime.ledger.entries import Entry, Remarks
    from ssd_edge_runtime.ledger.ledger import Ledger, Merged
    from ssd_edge_runtime.ledger.members import Member, merged, rebased

__all__ = ["Diary", "Entry", "Ledger", "Member", "Merged", "Remarks", "merged", "rebased"]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "diary": ("Diary",),
        "entries": ("Entry", "Remarks"),
        "ledger": ("Ledger", "Merged"),
        "members": ("Member", "merged", "rebased"),
    },
)
