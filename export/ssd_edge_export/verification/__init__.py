"""Does the file hold what it should: report, checks, against a run, as a torch network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_export.verification.report import Check, Report
    from ssd_edge_export.verification.verification import verify

__all__ = ["Check", "Report", "verify"]
__getattr__, __dir__ = lazy(__name__, {"report": ("Check", "Report"), "verification": ("verify",)})
