"""Two measurements side by side: ratios with intervals, and lines that a build holds."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssd_edge_bench.machine.facts import differences
from ssd_edge_bench.measurement.intervals import Interval, ratio
from ssd_edge_bench.measurement.results import SCHEMA, find_row
from ssd_edge_runtime.errors import DataError, OptionError, first_line
from ssd_edge_runtime.files import read_at_most

RULE = re.compile(
    r"(?:(?P<engine>[a-z][a-z0-9-]*)\s+)?(?P<operation>start|predict|embed|learn|solve|save)"
    r"(?:\s+b(?P<batch>\d+))?\s+(?P<percentile>p50|p90|p99)\s*>\s*(?P<limit>\d+(?:\.\d+)?)x"
)
LARGEST = 1 << 28
"""Bytes of an earlier measurement."""
EXAMPLE = '"predict b1 p50 > 1.10x"'


@dataclass(frozen=True)
class Rule:
    """``[ENGINE] OPERATION [bN] p50|p90|p99 > LIMITx``: broken where the new figure exceeds limit x the old."""

    text: str
    engine: str | None
    operation: str
    batch: int
    percentile: float
    limit: float

    @classmethod
    def parse(cls, text: str) -> Rule:
        """Raises OptionError for anything but a rule."""
        found = RULE.fullmatch(text.strip())
        if found is None:
            raise OptionError(f"fail-if must look like {EXAMPLE}, got {text!r}")
        return cls(
            text=text.strip(),
            engine=found["engine"],
            operation=found["operation"],
            batch=int(found["batch"] or 1),
            percentile=float(found["percentile"][1:]),
            limit=float(found["limit"]),
        )


@dataclass(frozen=True)
class Verdict:
    """What a rule found: broken only where the whole interval of the ratio lies above its limit."""

    rule: Rule
    ratio: Interval
    broken: bool


def load_document(path: Path) -> dict[str, Any]:
    """An earlier ``bench --json``. Raises DataError where it is not one."""
    try:
        document: Any = json.loads(read_at_most(path, LARGEST, DataError))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, DataError) else DataError(f"{path}: not JSON ({error})") from error
    written = isinstance(document, dict) and isinstance(document.get("results"), list)
    DataError.unless(written, f"{path}: not what ssd-edge bench --json writes")
    if document.get("schema") != SCHEMA:
        raise DataError(f"{path}: schema {repr(document.get('schema'))[:80]}, this version reads {SCHEMA}")
    try:
        compare(document, document)
        check_alike(document, document, force=True)
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise DataError(f"{path}: damaged, not what ssd-edge bench --json writes ({first_line(error)})") from error
    return dict(document)


def check_alike(new: dict[str, Any], old: dict[str, Any], *, force: bool) -> list[str]:
    """What differs between the two machines or their conditions; raises DataError unless ``force``."""
    found = differences(new["machine"], old["machine"])
    threads = [document["conditions"]["threads"] for document in (new, old)]
    if threads[0] != threads[1]:
        found.append(f"threads ({threads[0]} and {threads[1]})")
    if found and not force:
        raise DataError(f"unlike machines: {', '.join(found)}; compare them anyway with --force")
    return found


def compare(new: dict[str, Any], old: dict[str, Any]) -> list[dict[str, Any]]:
    """``new / old`` of the median with its 95 % interval, for every row that both have."""
    rows = []
    for row in new["results"]:
        other = find_row(old, row["operation"], row["batch"], row["engine"])
        if other is not None:
            found = ratio(row["values_us"], other["values_us"])
            rows.append(
                {
                    **{key: row[key] for key in ("engine", "operation", "batch")},
                    "new_p50_us": row["p50_us"],
                    "old_p50_us": other["p50_us"],
                    "ratio": found.value,
                    "ratio_low": found.low,
                    "ratio_high": found.high,
                    "change": _change(found),
                }
            )
    return rows


def judge(rules: list[Rule], new: dict[str, Any], old: dict[str, Any]) -> list[Verdict]:
    """Apply rules to two measurements. Raises OptionError for a rule about what either did not measure."""
    return [_judge(rule, new, old) for rule in rules]


def _judge(rule: Rule, new: dict[str, Any], old: dict[str, Any]) -> Verdict:
    rows = [find_row(document, rule.operation, rule.batch, rule.engine) for document in (new, old)]
    if rows[0] is None or rows[1] is None:
        raise OptionError(f"fail-if {rule.text!r}: not measured in both; see --engines, --operations, --batches")
    found = ratio(rows[0]["values_us"], rows[1]["values_us"], rule.percentile)
    return Verdict(rule, found, broken=found.low > rule.limit)


def _change(found: Interval) -> str:
    return "slower" if found.low > 1 else "faster" if found.high < 1 else "no difference seen"
