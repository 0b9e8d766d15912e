"""Published figures of boards that are not here: one TOML file each, every figure with its source."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from ssd_edge_bench.roofline.roofline import Ceilings
from ssd_edge_runtime.errors import OptionError


@dataclass(frozen=True)
class Profile:
    """What one core can do, as far as an estimate needs it."""

    name: str
    instructions_per_second: float
    """On branching code, as 7-Zip counts them while it decodes."""
    memory_bytes_per_second: float
    cache_bytes: int
    cache_bytes_per_second: float
    operations_per_second: float
    """Multiplications and additions in float32."""
    sources: dict[str, str]
    """Where each group of figures is published, or that it is assumed."""

    def ceilings(self, working_set: int) -> Ceilings:
        """The roofline's ceilings for weights of ``working_set`` bytes, read again and again."""
        cached = working_set <= self.cache_bytes
        rate = self.cache_bytes_per_second if cached else self.memory_bytes_per_second
        return Ceilings(
            rate, self.memory_bytes_per_second, self.operations_per_second, self.instructions_per_second
        )


def board_names() -> list[str]:
    """The boards that :func:`load_board` knows."""
    return sorted(entry.name[:-5] for entry in files(__name__).iterdir() if entry.name.endswith(".toml"))


def load_board(name: str) -> Profile:
    """The figures of a board. Raises OptionError, naming those there are, for an unknown one."""
    if name not in board_names():
        raise OptionError(f"profile must be one of {', '.join(board_names())}, got {name}")
    return parse(tomllib.loads((files(__name__) / f"{name}.toml").read_text(encoding="utf-8")))


def parse(table: dict[str, Any]) -> Profile:
    """A profile from the tables of its file."""
    clock = table["clock"]["hz"]
    groups = ("clock", "scalar", "memory", "cache", "arithmetic")
    sources = {group: table[group]["source"] for group in groups}
    return Profile(
        name=table["name"],
        instructions_per_second=table["scalar"]["instructions_per_second"],
        memory_bytes_per_second=table["memory"]["bytes_per_second"],
        cache_bytes=table["cache"]["bytes"],
        cache_bytes_per_second=table["cache"]["bytes_per_cycle"] * clock,
        operations_per_second=table["arithmetic"]["operations_per_cycle"] * clock,
        sources=sources | {"cache rate": table["cache"]["rate_source"]},
    )
