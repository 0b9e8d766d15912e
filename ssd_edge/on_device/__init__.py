"""What device commands do, as functions that a notebook can call: no click, no torch.

Each returns what its command prints with ``--json``. Names are imported when first used.

>>> from ssd_edge import on_device
>>> on_device.learn("model.onnx", "new-classes.npz")["classes_added"]  # doctest: +SKIP
['emu', 'fox']
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge.on_device.answers import evaluate, infer
    from ssd_edge.on_device.classes import forget, rename
    from ssd_edge.on_device.generations import history, purge, rollback
    from ssd_edge.on_device.guard import Guard
    from ssd_edge.on_device.inputs import Loading
    from ssd_edge.on_device.keys import Keys, check_signature, keygen, sign
    from ssd_edge.on_device.learning import learn
    from ssd_edge.on_device.merging import merge, rebase
    from ssd_edge.on_device.plan import LearnPlan
    from ssd_edge.on_device.resume import Resuming
    from ssd_edge.on_device.stream import infer_stream, learn_stream
    from ssd_edge.on_device.transaction import Saving

__all__ = [
    "Guard",
    "Keys",
    "LearnPlan",
    "Loading",
    "Resuming",
    "Saving",
    "check_signature",
    "evaluate",
    "forget",
    "history",
    "infer",
    "infer_stream",
    "keygen",
    "learn",
    "learn_stream",
    "merge",
    "purge",
    "rebase",
    "rename",
    "rollback",
    "sign",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "answers": ("evaluate", "infer"),
        "classes": ("forget", "rename"),
        "generations": ("history", "purge", "rollback"),
        "guard": ("Guard",),
        "inputs": ("Loading",),
        "keys": ("Keys", "check_signature", "keygen", "sign"),
        "learning": ("learn",),
        "merging": ("merge", "rebase"),
        "plan": ("LearnPlan",),
        "resume": ("Resuming",),
        "stream": ("infer_stream", "learn_stream"),
        "transaction": ("Saving",),
    },
)
