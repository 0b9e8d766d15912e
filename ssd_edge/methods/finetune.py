"""Fine-tuning: a plain ReLU network trained on one task after the other, with nothing against forgetting."""

from __future__ import annotations

from typing import ClassVar

from ssd_edge.methods.method import Method


class Finetune(Method):
    """The lower end of every table; also the network under a regularizer that is named alone."""

    name: ClassVar[str] = "finetune"
    is_network: ClassVar[bool] = True
    topk: ClassVar[bool] = False
    lr: ClassVar[float] = 0.5
    readout_init: ClassVar[float | None] = None
