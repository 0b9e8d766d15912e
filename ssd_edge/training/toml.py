"""TOML in and out, for flat records with one level of tables."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.storage.atomic import write_text


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file. Raises DataError where it is missing or not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{path}: not TOML ({error})") from error


def write_toml(path: Path, values: Mapping[str, Any]) -> None:
    """Write scalars and lists first, then one table per mapping; the file appears whole or not at all."""
    lines = [f"{key} = {_value(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    for name, table in values.items():
        if isinstance(table, Mapping):
            lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items())]
    write_text(path, "\n".join(lines) + "\n")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    # A JSON string is a TOML basic string, surrogates and DEL apart.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
