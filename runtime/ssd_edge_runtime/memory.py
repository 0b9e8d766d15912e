"""How much memory this process may still have: what the machine has free, within the limits of its container."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
UNLIMITED = 1 << 60
"""What the first version of cgroups gives where there is no limit is beyond this."""


def free_memory() -> int:
    """Bytes that can be had without swapping, and without being killed for them."""
    import psutil

    return max(0, min([int(psutil.virtual_memory().available), *_left_in_groups()]))


def _left_in_groups() -> Iterator[int]:
    """What each control group around this process has left."""
    with suppress(OSError, ValueError):
        for line in OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield from _upwards(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                yield from _upwards(CGROUPS / "memory", path, *names)


def _upwards(root: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """From the group at ``path``, which a container may see as the root, up to the root."""
    group = root / path.strip("/")
    groups = [group, *group.parents] if group.is_dir() else [root]
    for each in groups:
        with suppress(OSError, ValueError):
            most = int((each / limit).read_text())
            if most < UNLIMITED:
                # Pages of files are given up before anybody is killed.
                yield most - int((each / usage).read_text()) + _counted(each / "memory.stat", cache)
        if each == root:
            return


def _counted(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
