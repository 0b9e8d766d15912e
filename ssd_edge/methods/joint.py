"""Joint training: the same plain ReLU network, on all tasks' data at once."""

from __future__ import annotations

from typing import ClassVar

from ssd_edge.methods.method import Method


class Joint(Method):
    """The upper end of every table: not continual, it sees everything together."""

    name: ClassVar[str] = "joint"
    is_network: ClassVar[bool] = True
    topk: ClassVar[bool] = False
    lr: ClassVar[float] = 0.5
    readout_init: ClassVar[float | None] = None
    all_at_once: ClassVar[bool] = True
