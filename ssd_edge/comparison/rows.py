"""The rows of a comparison: which runs it takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssd_edge.training.config import TrainConfig
from ssd_edge_runtime.errors import OptionError

ALWAYS = ("random+analytic", "joint")
"""Rows in every table: the closed form on random features, and training on everything at once."""
READOUTS = ("gradient", "analytic")


@dataclass(frozen=True)
class Row:
    """One line of the table: a name and the run's options, the seed apart."""

    name: str
    config: TrainConfig

    def seeded(self, seed: int) -> TrainConfig:
        """The configuration of one of its runs."""
        return dataclasses.replace(self.config, seed=seed)


def split_readout(text: str) -> tuple[str, str | None]:
    """``ssd+analytic`` as (``ssd``, ``analytic``); without a readout, None."""
    names = text.split("+")
    readouts = [name for name in names if name in READOUTS]
    OptionError.unless(len(readouts) <= 1, f"method {text!r} names two readouts")
    return "+".join(name for name in names if name not in READOUTS), readouts[0] if readouts else None


def make_rows(
    options: Mapping[str, Any],
    methods: Sequence[str],
    listed: Iterable[Mapping[str, Any]] = (),
    widths: Sequence[int] = (),
) -> list[Row]:
    """Rows for ``methods`` (``ssd+ewc``, ``ssd+analytic``) and for those ``listed`` in a configuration.

    ``options``: shared by all rows; tables of method options reach the rows whose method uses them. A listed row
    has a ``method``, a ``name`` and options of its own. ``widths``: every row once per number of hidden neurons.
    ``random+analytic`` and ``joint`` are always there. Raises OptionError.
    """
    wanted: list[dict[str, Any]] = [{"method": method} for method in methods]
    wanted += [dict(row) for row in listed]
    OptionError.unless(len(wanted) > 0, "methods are missing: name some, such as --methods ssd,sdmlp")
    present = {row.get("method") for row in wanted}
    wanted += [{"method": method} for method in ALWAYS if method not in present]
    rows = []
    for row in wanted:
        if "method" not in row:
            raise OptionError(f"a row without a method: {row}")
        name = str(row.pop("name", row["method"]))
        rows += [_row(name, options, row, width) for width in widths] if widths else [_row(name, options, row)]
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    OptionError.unless(not twice, f"two rows are called {', '.join(twice)}; give each listed row a name")
    return rows


def _row(name: str, options: Mapping[str, Any], own: Mapping[str, Any], width: int | None = None) -> Row:
    method, readout = split_readout(str(own["method"]))
    used = TrainConfig(method=method).spec.names
    shared = {key: value for key, value in options.items() if not isinstance(value, Mapping)}
    tables = {key: dict(value) for key, value in options.items() if isinstance(value, Mapping) and key in used}
    for key, value in own.items():
        if isinstance(value, Mapping):
            tables[key] = tables.get(key, {}) | dict(value)
        else:
            shared[key] = value
    shared |= {"method": method} | ({"readout": readout} if readout else {})
    shared |= {"hidden": (width,)} if width is not None else {}
    config = TrainConfig.from_mapping(shared | tables, f"row {name}").resolved()
    return Row(f"{name}, n {width}" if width is not None else name, config)
