"""What the manifest says of how a file came to be."""

import numpy as np

from ssd_edge_export.assembly.provenance import usage


def test_usage_per_task():
    counts = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0]])
    assert usage(counts, [[0], [1, 2]]) == {
        "neurons": 4,
        "tasks": [
            {"active": 1, "reused": 0, "new": 1, "free": 3},
            {"active": 3, "reused": 1, "new": 2, "free": 1},
        ],
    }
