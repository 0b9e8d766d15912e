"""Training that is broken off and goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ssd_edge.training import Interrupted, Run, resume, train


def assert_resumes(folder: Path, options: dict[str, Any], after: int = 5) -> Run:
    """A run on digits, broken off after so many steps, ends with the bits of a whole one, which is returned."""

    def stop(done: int, total: int) -> None:
        if done >= after:
            raise Interrupted

    whole = train("digits", **options)
    with pytest.raises(Interrupted):
        train("digits", output=folder, progress=stop, checkpoint_seconds=0, **options)
    again = resume(folder).network
    for name, value in whole.network.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    return whole
