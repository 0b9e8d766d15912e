"""What ``verify`` finds: a list of checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One line of the report; ``ok`` is None for what was not checked here."""

    check: str
    ok: bool | None
    detail: str


@dataclass
class Report:
    """What ``verify`` found."""

    path: str
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether no check has failed."""
        return all(check.ok is not False for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """JSON: ``path``, ``ok`` and ``checks``, a list of ``{"check", "ok", "detail"}``."""
        return {"path": self.path, "ok": self.ok, "checks": [asdict(check) for check in self.checks]}
