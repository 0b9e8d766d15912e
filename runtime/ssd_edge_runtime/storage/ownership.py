"""Owner, group and mode of a file that is written anew: what they were, whoever writes it."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

OWNER, GROUP, EVERYBODY = 0o700, 0o070, 0o777
FOR_FILES = 0o664
"""What a folder's mode lets a file in it have."""


@dataclass(frozen=True)
class Ownership:
    """To whom a file belongs, and what each may do with it; None: as the system makes it."""

    uid: int | None = None
    gid: int | None = None
    mode: int | None = None

    def give(self, descriptor: int) -> None:
        """Make an open file, which this process has just created, belong so.

        Where the system does not let it have the group, no other group gets what was meant for that one.
        """
        if os.name == "nt":
            return
        if self.uid is not None and self.gid is not None:
            _change_owner(descriptor, self.uid, self.gid)
        if self.mode is not None:
            found, mode = os.fstat(descriptor), self.mode
            if self.gid not in (None, found.st_gid):
                mode &= ~GROUP | (mode << 3)
            if stat.S_IMODE(found.st_mode) != mode:
                os.fchmod(descriptor, mode)

    def holds(self, path: Path) -> bool:
        """Whether the file at ``path`` belongs so already. Raises OSError."""
        found = of_file(path)
        return os.name == "nt" or all(
            wanted in (None, has)
            for wanted, has in ((self.uid, found.uid), (self.gid, found.gid), (self.mode, found.mode))
        )

    def for_folder(self) -> Ownership:
        """That of a folder of such files: who may read them may enter it."""
        return self if self.mode is None else replace(self, mode=self.mode | OWNER | ((self.mode >> 2) & 0o111))


def of_file(path: Path) -> Ownership:
    """That of what is at ``path``. Raises OSError."""
    found = path.stat()
    return Ownership(found.st_uid, found.st_gid, found.st_mode & EVERYBODY)


def kept_at(path: Path, like: Path | None = None) -> Ownership:
    """What a new file at ``path`` is to have: that of ``like``, else of the file there.

    Where there is neither, root writes into another user's folder as that user would, and everybody else as the
    system makes it.
    """
    for known in (like, path):
        if known is not None and known.exists():
            return of_file(known)
    if os.name == "nt" or os.geteuid() != 0 or not path.parent.is_dir() or path.parent.stat().st_uid == 0:
        return Ownership()
    owner = of_file(path.parent)
    return Ownership(owner.uid, owner.gid, (owner.mode or 0) & FOR_FILES)


def _change_owner(descriptor: int, uid: int, gid: int) -> None:
    """As far as the system allows: root anything, others a group of theirs."""
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) == (uid, gid):
        return
    try:
        os.fchown(descriptor, uid, gid)
    except OSError:
        with suppress(OSError):
            os.fchown(descriptor, -1, gid)
