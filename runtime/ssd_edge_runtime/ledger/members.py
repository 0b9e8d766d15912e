"""Which files may be joined: every lesson is counted once, and the error names who brings it twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger.entries import bounded, clipped, renames
from ssd_edge_runtime.ledger.ledger import FIRST, LETTERS, MAX_MERGED, Ledger, Merged, Stretch, unique


@dataclass(frozen=True)
class Member:
    """A model that is to be joined with others."""

    name: str
    """What messages call it."""
    digest: str | None
    """Of the file that it is; None where it has changed since, or never was one."""
    parent: str | None
    """Of the file that it was loaded from."""
    ledger: Ledger

    def known(self) -> list[str]:
        """Files whose lessons it holds, itself included, shortened."""
        last = self.digest or self.parent
        return [*self.ledger.ancestors(), *([last[:LETTERS]] if last else [])]

    def since(self, base: Member) -> list[str]:
        """Those of them that ``base`` does not hold."""
        before = set(base.known())
        return [digest for digest in dict.fromkeys(self.known()) if digest not in before]


def check_members(members: Sequence[Member], base: Member) -> None:
    """Refuse members of which one holds what another holds too, ``base`` aside; and who did not start from it."""
    for member in members:
        check_start(member, base)
    for a, b in combinations(members, 2):
        if a.digest is not None and a.digest == b.digest:
            raise EdgeModelError(
                f"{a.name} and {b.name} are the same file, byte for byte: each device is merged once"
            )
        both = [digest for digest in a.since(base) if digest in set(b.since(base))]
        if both:
            raise EdgeModelError(f"{_both(a, b, both)}: what it learned would count twice")


def check_start(member: Member, base: Member) -> None:
    """Refuse a member that lacks lessons of the ``base`` that it should have started from."""
    origin = base.digest or base.parent
    if origin is None or origin[:LETTERS] in member.known():
        return
    own = member.ledger.lessons()
    for lesson, entry in base.ledger.lessons().items():
        if entry.teaches and lesson not in own:
            raise EdgeModelError(
                f"{member.name} lacks {entry.total} samples that {base.name} has learned as generation "
                f"{entry.generation}: it did not start from that file"
            )


def check_rebase(mine: Member, old: Member, new: Member) -> None:
    """Refuse to carry over what ``new`` holds already, and from a file that ``mine`` did not start from."""
    check_start(mine, old)
    both = [digest for digest in mine.since(old) if digest in set(new.known())]
    if both:
        what = _called(both[-1], new) or f"{both[-1][:12]}..., which {mine.name} comes from"
        raise EdgeModelError(
            f"{new.name} already holds {what}: what {mine.name} learned up to there would count twice; "
            "rebase from that file"
        )


def short_names(paths: Sequence[Path | None]) -> list[str]:
    """What to call the models of these files: the file's name, with its folder where another has the same."""
    names = [path.name for path in dict.fromkeys(path for path in paths if path)]
    return [
        f"model {number}"
        if path is None
        else clipped(path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}")
        for number, path in enumerate(paths, 1)
    ]


def merged(members: Sequence[Member], base: Member) -> Ledger:
    """The ledger of what is merged, up to its own entry. Raises EdgeModelError where lessons would count twice."""
    check_members(members, base)
    return _joined(base.ledger, [(member, base) for member in members])


def rebased(mine: Member, old: Member, new: Member) -> Ledger:
    """The same of what is carried over from ``old`` to ``new``."""
    check_rebase(mine, old, new)
    return _joined(new.ledger, [(mine, old)])


def renamed_since(member: Member, origin: Member) -> dict[str, str]:
    """What a member calls classes of its origin, where it has renamed them since."""
    before = origin.ledger.lessons()
    own = (entry for lesson, entry in member.ledger.lessons().items() if lesson not in before)
    return renames(entry for entry in own if not entry.file)


def _joined(ledger: Ledger, parts: Sequence[tuple[Member, Member]]) -> Ledger:
    found, entries = list(ledger.merged), list(ledger.entries)
    for member, origin in parts:
        before = origin.ledger.lessons()
        found += [part for part in member.ledger.merged if part not in origin.ledger.merged]
        start = origin.digest or origin.parent
        last = member.digest or member.parent
        if last is not None and start is not None and member.since(origin):
            found.append(Merged(member.name, last, start, _line(member, origin)))
        told = [entry for lesson, entry in member.ledger.lessons().items() if lesson not in before]
        entries += [replace(entry, file=entry.file or member.name) for entry in told if not entry.folded]
    return replace(ledger, merged=unique(found)[-MAX_MERGED:], entries=bounded(entries))


def _line(member: Member, origin: Member) -> Stretch:
    """Ancestors of a member since it left its origin, without itself; bounded."""
    own, last = set(member.since(origin)), (member.digest or member.parent or "")[:LETTERS]
    line = tuple(d for stretch in member.ledger.lineage for d in stretch if d in own and d != last)
    return line if len(line) <= 2 * FIRST else (*line[:FIRST], *line[-FIRST:])


def _called(digest: str, member: Member) -> str | None:
    """What a merged file was called."""
    return next((part.name for part in member.ledger.merged if part.digest[:LETTERS] == digest), None)


def _both(a: Member, b: Member, both: Sequence[str]) -> str:
    for one, other in ((a, b), (b, a)):
        if one.digest is not None and one.digest[:LETTERS] in both:
            return f"{other.name} already holds {one.name}"
    name = _called(both[-1], a) or _called(both[-1], b)
    if name is not None:
        return f"{a.name} and {b.name} both hold {name}"
    return (
        f"{a.name} and {b.name} are of one device, both come from {both[-1][:12]}..., which the base does not hold"
    )
