"""Checkpoints of learning, in a journal beside the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from ssd_edge_runtime import EdgeModelError
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.storage import records
from ssd_edge_runtime.storage.journal import Journal, journal_path


def test_a_journal_without_a_beginning_is_damaged(tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"
    assert find(target) is None
    for payload in (records.encode({"kind": "begin"}, {}), records.encode({"kind": "end", "digest": "0"}, {})):
        Journal.create(journal_path(target), payload)
        with pytest.raises(EdgeModelError, match="damaged from its first record on"):
            find(target)
