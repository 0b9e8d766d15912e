"""The public names of ``ssd_edge_export``, and what can be had of them without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ssd_edge_export


def test_every_public_name_is_found_and_documented() -> None:
    assert set(ssd_edge_export.__all__) <= set(dir(ssd_edge_export))
    for name in ssd_edge_export.__all__:
        public = getattr(ssd_edge_export, name)
        assert public.__name__ == name and public.__doc__
    with pytest.raises(AttributeError, match="module 'ssd_edge_export' has no attribute 'shrink'"):
        ssd_edge_export.shrink  # noqa: B018


@pytest.mark.parametrize("name", [name for name in ssd_edge_export.__all__ if name[0].islower()])
def test_every_function_shows_an_example(name: str) -> None:
    assert f"{name}(" in getattr(ssd_edge_export, name).__doc__.partition(">>> ")[2]


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import ssd_edge_export, ssd_edge_export.pruning, ssd_edge_bench.measurement", "numpy scipy torch"),
        ("from ssd_edge_export import ExportOptions, PruneOptions, SweepOptions", "numpy scipy torch"),
        ("from ssd_edge_bench.measurement import BenchOptions", "numpy scipy torch"),
        ("from ssd_edge_export import verify", "torch"),
        ("from ssd_edge_bench.measurement import measure", "torch onnxruntime"),
    ],
)
def test_importing_a_name_stays_cheap(statement: str, unwanted: str) -> None:
    script = f"{statement}; import sys; print(*(sys.modules.keys() & set({unwanted.split()})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
