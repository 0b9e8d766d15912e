"""Classes of a model file forgotten and renamed, samples unlearned."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ssd_edge.data import Dataset, Reading
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.inputs import Data, Loading, load_labelled, note_confined
from ssd_edge.on_device.keys import Keys
from ssd_edge.on_device.once import once
from ssd_edge.on_device.resume import digest_of_data
from ssd_edge.on_device.transaction import Saving, changing, refuse_unfinished
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.serving.labels import as_names


def forget(
    model: str | Path,
    classes: str | Sequence[str] = (),
    data: Data | None = None,
    *,
    purge: bool = False,
    split: str = "all",
    root: str | Path | None = None,
    reading: Reading = Reading(),
    saving: Saving = Saving(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Make the file ``model`` forget classes by name, or samples that it has learned.

    Without ``data`` the classes leave the answers. With it, a closed-form readout loses its samples, of
    ``classes`` alone where these are given, exactly as if it had never learned them; in a gradient readout the
    weights that served the classes are dampened, judged by the samples of the others in ``data``. ``purge``
    also deletes the earlier generations, which still know. ``split``, ``root`` and ``reading`` are for data
    given by name. Where a failure came in between, the same call again finishes what is left, and so does
    whichever change of the file comes next.

    Returns ``file``, ``generation``, ``classes``, ``samples_seen``, ``forgotten``, ``unlearned`` (samples),
    ``dampened`` (a row for each class: what it cost) and ``purged``. Raises SSDEdgeError or OSError; nothing has
    changed then, but where only the earlier generations could not be deleted.

    >>> forget("model.onnx", "bag", purge=True)["classes"]  # doctest: +SKIP
    ['cat', 'dog']
    >>> forget("model.onnx", data=(x, labels))["unlearned"]  # doctest: +SKIP
    14
    """
    names = [classes] if isinstance(classes, str) else list(classes)
    OptionError.unless(
        bool(names) or data is not None, "nothing to forget: give --class NAME, --data DATA, or both"
    )
    with changing(model, saving, loading=loading, keys=keys, once=True, tell=tell) as change:
        if purge:
            refuse_unfinished(change.target, change.model.digest, keys.seal, purging=True)
        names = as_names(names, len(names), change.model.classes_)
        dataset = None
        if data is not None:
            dataset = load_labelled(data, change.model, split=split, root=root, reading=reading)
        if dataset is not None:
            note_confined(change.model, tell)
        request = {"forget": names, "data": None if dataset is None else digest_of_data(dataset)}
        unnamed = names if purge else None
        report = once(change, request, lambda: _forget(change.model, names, dataset), purge=unnamed)
        return report | {"purged": purge}


def _forget(model: EdgeModel, names: list[str], dataset: Dataset | None) -> dict[str, Any]:
    report: dict[str, Any] = {"forgotten": names, "unlearned": 0, "dampened": []}
    if dataset is not None:
        report |= _unlearn(model, dataset, names)
    for name in names:
        # A class that was dampened, or of which every sample was unlearned, has gone already.
        if dataset is None or name in model.classes_:
            model.forget(name)
    return report


def _unlearn(model: EdgeModel, dataset: Dataset, names: list[str]) -> dict[str, Any]:
    """Take samples out, or classes of a gradient readout at the cost of the others in ``dataset``."""
    if names and model.learning is not None:
        return {"dampened": [_dampen(model, dataset, name) for name in names]}
    dataset = dataset.select(names) if names else dataset
    model.unlearn(dataset.x, dataset.names)
    return {"unlearned": len(dataset)}


def _dampen(model: EdgeModel, dataset: Dataset, name: str) -> dict[str, Any]:
    """Forget one class of a gradient readout; the other samples of classes that the model knows judge the cost."""
    forgotten = dataset.names == name
    retained = np.isin(dataset.names, [known for known in model.classes_ if known != name])
    for chosen, what in ((forgotten, f"samples of {name!r}"), (retained, "samples of the classes that stay")):
        if not chosen.any():
            raise DataError(f"data holds no {what}: a gradient readout forgets by comparing the two")
    report = model.dampen(name, dataset.x[forgotten], (dataset.x[retained], dataset.names[retained]))
    return {"class": name, **dataclasses.asdict(report)}


def rename(
    model: str | Path,
    old: str,
    new: str,
    *,
    saving: Saving = Saving(),
    loading: Loading = Loading(),
    keys: Keys = Keys(),
    tell: Tell = silent,
) -> dict[str, Any]:
    """Call the class ``old`` of the file ``model`` by the name ``new`` from now on; nothing else changes.

    Returns ``file``, ``generation``, ``classes``, ``samples_seen`` and ``renamed``. Raises EdgeModelError for a
    class that is not there and for a name that is taken, OSError.

    >>> rename("model.onnx", "7", "sneaker")["renamed"]  # doctest: +SKIP
    {'from': '7', 'to': 'sneaker'}
    """
    with changing(model, saving, loading=loading, keys=keys, once=True, tell=tell) as change:
        renamed = {"renamed": {"from": old, "to": new}}

        def make() -> dict[str, Any]:
            change.model.rename(old, new)
            return renamed

        return once(change, renamed, make)
