"""One thread for every numerical library: tests share few cores, and sums then have one order."""

import os

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")
