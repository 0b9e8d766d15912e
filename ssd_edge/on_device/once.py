"""Changes that must not be made twice: asked for again after a failure, they are finished and told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from ssd_edge.on_device.inputs import load_model
from ssd_edge.on_device.transaction import Change, saved_as
from ssd_edge_runtime import storage
from ssd_edge_runtime.storage.atomic import sync_folder
from ssd_edge_runtime.storage.intents import Intent, announce, conclude, pending
from ssd_edge_runtime.storage.purging import finish


def once(
    change: Change,
    request: dict[str, Any],
    make: Callable[[], dict[str, Any]],
    *,
    purge: Collection[str] | None = None,
) -> dict[str, Any]:
    """``make`` a change of the model and save it, unless that was done before and its caller never heard so.

    ``request``: all that the change follows from, as JSON; the file that it begins from is added where another
    one is written. ``purge``: earlier generations are to go then, and history is to name these classes no more.
    Returns what was saved and what ``make`` returned. Raises what ``make`` raises, and OSError, after which the
    same may be asked for again.
    """
    target = change.target
    request = request | {"source": change.source}
    begun = pending(target)
    if begun is not None and begun.request == request and begun.purge == (purge is not None):
        report = saved_as(load_model(target, keys=change.keys), target) | begun.report
        sync_folder(target.resolve().parent)
    else:
        finish(target)
        told = make()
        intent = partial(Intent, request=request, report=told, purge=purge is not None)
        report = change.save(lambda digest: announce(target, intent(digest)), unnamed=purge or ()) | told
    if purge is not None:
        storage.purge(target)
    else:
        conclude(target)
    return report
