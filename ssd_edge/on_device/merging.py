"""What several devices have learned in one model file, and carried over from one base file to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data import Reading
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.guard import Guard
from ssd_edge.on_device.inputs import Loading, load_model, note_confined
from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.once import once
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime import rebase as rebase_model
from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.model_file import load
from ssd_edge_runtime.storage import KEEP, locked
from ssd_edge_runtime.storage.places import place_of

BEYOND_CHANCE = 1.64
"""Standard deviations (McNemar's test) by which answers must be worse with a device: once in 20 by chance."""


def merge(
    models: Sequence[str | Path],
    base: str | Path,
    output: str | Path,
    *,
    guard: Guard | None = None,
    leave_one_out: bool = False,
    rename: dict[str, dict[str, str]] | None = None,
    force: bool = False,
    root: str | Path | None = None,
    reading: Reading = Reading(),
    note: str = "",
    keep: int = KEEP,
    lock_timeout: float = 10.0,
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Merge model files with the analytic readout that learned on different devices from one file.

    ``base``: the file that all of them started from; it is counted once, so that the result equals one device that
    saw everything. It is written to ``output``, whose ``keep`` earlier generations stay; ``lock_timeout``: seconds
    to wait for another process that is writing that. Where ``guard`` does not hold, against the base, nothing is
    saved and ``kept`` is false. ``leave_one_out`` also measures on its data the merge without each device.
    ``rename``: new names of classes by their old ones, by model as in ``models`` or by its file's name. ``force``
    replaces even a file that knows classes which the result does not. ``note`` goes into the history; ``root`` and
    ``reading`` are for a guard's data given by name.

    Returns ``file``, ``generation``, ``classes``, ``samples_seen``, ``merged`` and ``kept``; ``guard`` where there
    is one; ``leave_one_out`` (``model``, ``without``, the accuracy without it, and ``effect``, what it adds) and
    ``harms``, the model without which answers are better beyond chance, or None. Raises OptionError for fewer than
    two models, EdgeModelError where they do not go together or one would count twice, OSError.

    >>> merge(["kitchen.onnx", "garage.onnx"], "model.onnx", "merged.onnx")["samples_seen"]  # doctest: +SKIP
    178
    """
    OptionError.unless(len(models) >= 2, f"merge needs at least two models, got {len(models)}")
    OptionError.unless(guard is not None or not leave_one_out, "leave-one-out needs guard, the data to measure on")
    keys.check()
    start = load_model(base, loading, keys, tell)
    devices = [load_model(path, loading, keys, tell) for path in models]
    rename_classes(models, devices, rename or {})
    merged = EdgeModel.merge(devices, base=start)
    report: dict[str, Any] = {"merged": [str(path) for path in models], "kept": True}
    after = None
    if guard is not None:
        judge = guard.loaded(start, root, reading)
        note_confined(start, tell)
        right = judge.right(merged)
        after = float(right.mean())
        report |= judge.verdict(float(judge.right(start).mean()), after)
        if leave_one_out:
            report |= Trial(models, devices, start, judge, right).report()
    if not report["kept"]:
        unsaved = {"file": str(output), "generation": None, "classes": merged.classes_}
        return {**unsaved, "samples_seen": merged.samples_seen_, **report}
    with locked(output, lock_timeout):
        change = Change(merged, Path(output), keep, keys, note, after)
        request = {"merge": [device.digest for device in devices], "base": start.digest, "rename": rename or {}}

        def check() -> dict[str, Any]:
            check_classes(merged, change.target, force)
            return report

        return once(change, request, check)


def rebase(
    mine: str | Path,
    old: str | Path,
    new: str | Path,
    output: str | Path,
    *,
    force: bool = False,
    note: str = "",
    keep: int = KEEP,
    lock_timeout: float = 10.0,
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Carry over to the file ``new`` what ``mine`` has learned since ``old``, exactly, and write ``output``.

    For a roll-out: ``new`` replaces ``old`` on a device that has learned in the meantime. The features of all
    three must be the same; what ``mine`` has forgotten stays forgotten, and a class renamed here or there is one
    class. The other options are as in :func:`merge`.

    Returns ``file``, ``generation``, ``classes``, ``samples_seen`` and ``carried``, how many samples. Raises
    EdgeModelError, by name, where features differ or ``new`` holds some of these lessons already, OptionError,
    OSError.

    >>> rebase("device.onnx", "january.onnx", "february.onnx", "device.onnx")["carried"]  # doctest: +SKIP
    14
    """
    keys.check()
    with locked(output, lock_timeout):
        device, start, onto = (load_model(path, loading, keys, tell) for path in (mine, old, new))
        change = Change(onto, Path(output), keep, keys, note)
        if place_of(mine) != place_of(output):
            change.source = device.digest

        def carry() -> dict[str, Any]:
            change.model = rebase_model(device, start, onto)
            check_classes(change.model, change.target, force)
            return {"carried": change.model.samples_seen_ - onto.samples_seen_}

        return once(change, {"rebase": {"from": start.digest, "onto": onto.digest}}, carry)


def rename_classes(
    paths: Sequence[str | Path], devices: Sequence[EdgeModel], rename: dict[str, dict[str, str]]
) -> None:
    """Rename classes of loaded models; raises OptionError where no model is called so, or more than one."""
    for called, names in rename.items():
        exact = [place for place, path in enumerate(paths) if str(path) == called]
        places = exact or [
            place for place, path in enumerate(paths) if called in (Path(path).name, Path(path).stem)
        ]
        OptionError.unless(
            len(places) == 1, f"rename: {called!r} names {len(places)} of the models to merge, not one"
        )
        for old, new in names.items():
            devices[places[0]].rename(old, new)


def check_classes(model: EdgeModel, target: Path, force: bool) -> None:
    """Refuse to replace a file that knows classes which ``model`` does not. Raises OptionError."""
    if force or not target.exists():
        return
    try:
        known = load(target).classes
    except EdgeModelError:
        return
    kept = set(model.classes_)
    lost = [name for name in known if name not in kept]
    OptionError.unless(
        not lost, f"{target} knows {', '.join(lost)}, which the result does not: --force replaces it all the same"
    )


@dataclass
class Trial:
    """What each device does to the answers of a merge."""

    paths: Sequence[str | Path]
    devices: Sequence[EdgeModel]
    base: EdgeModel
    judge: Guard
    right: NDArray[np.bool_]
    """Which samples the merge of all answers rightly."""

    def report(self) -> dict[str, Any]:
        """``leave_one_out`` and ``harms``."""
        rows, worst, harms = [], -BEYOND_CHANCE, None
        for place, path in enumerate(self.paths):
            others = [device for other, device in enumerate(self.devices) if other != place]
            without = self.judge.right(EdgeModel.merge(others, base=self.base))
            effect = float(self.right.mean() - without.mean()) + 0.0
            rows.append({"model": str(path), "without": float(without.mean()), "effect": effect})
            deviations = beyond_chance(self.right, without)
            if deviations <= worst:
                worst, harms = deviations, str(path)
        return {"leave_one_out": rows, "harms": harms}


def beyond_chance(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """By how many standard deviations ``a`` is right more often than ``b`` on the same samples (McNemar)."""
    gained, lost = int((a & ~b).sum()), int((b & ~a).sum())
    return float((gained - lost) / np.sqrt(max(gained + lost, 1)))
