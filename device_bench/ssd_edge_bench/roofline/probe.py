"""The probes of the roofline in a process of their own: working-set sizes in, ceilings out, as JSON."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Pin to the cores given, then probe."""
    job = json.load(sys.stdin)
    if hasattr(os, "sched_setaffinity") and job["cores"]:
        os.sched_setaffinity(0, job["cores"])
    from ssd_edge_bench.roofline.estimate import instruction_rate
    from ssd_edge_bench.roofline.roofline import DRAM_BYTES, product_rate, read_rate

    reads = [read_rate(max(size, 1 << 14)) for size in job["sizes"]]
    answer = {
        "reads": reads,
        "dram": read_rate(DRAM_BYTES),
        "operations": product_rate(),
        "instructions": instruction_rate(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
