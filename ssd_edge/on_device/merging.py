"""One model file that knows what several devices have learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.inputs import Loading, load_model
from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.storage import KEEP, locked


def merge(
    models: Sequence[str | Path],
    base: str | Path,
    output: str | Path,
    *,
    keep: int = KEEP,
    lock_timeout: float = 10.0,
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Merge model files with the analytic readout that learned on different devices from one file.

    ``base``: the file that all of them started from; it is counted once, so that the result equals one device that
    saw everything. It is written to ``output``, whose ``keep`` earlier generations stay; ``lock_timeout``: seconds
    to wait for another process that is writing that.

    Returns ``file``, ``generation``, ``classes``, ``samples_seen`` and ``merged``. Raises OptionError for fewer
    than two models, EdgeModelError where they do not go together, OSError.

    >>> merge(["kitchen.onnx", "garage.onnx"], "model.onnx", "merged.onnx")["samples_seen"]  # doctest: +SKIP
    178
    """
    OptionError.unless(len(models) >= 2, f"merge needs at least two models, got {len(models)}")
    keys.check()
    start = load_model(base, loading, keys, tell)
    merged = EdgeModel.merge([load_model(path, loading, keys, tell) for path in models], base=start)
    with locked(output, lock_timeout):
        saved = Change(merged, Path(output), keep, keys).save()
    return saved | {"merged": [str(path) for path in models]}
