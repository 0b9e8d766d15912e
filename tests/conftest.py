"""One thread for every numerical library: tests share few cores, and sums then have one order."""

import os
import signal

import pytest

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# A suite that is started in the background inherits signals that are ignored, and so would the commands it stops.
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture
def trial_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """``verify`` runs a file in this process, where torch is; ``test_verification.py`` has the other way."""
    from ssd_edge_export.verification import trial

    monkeypatch.setattr("ssd_edge_export.verification.verification.tried", lambda data, limits: trial.run(data))
