"""What a confined process is asked to do in tests; run as a module."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator

from ssd_edge_runtime.confinement import serve


def answers(message: bytes) -> Iterator[bytes]:
    task = message.decode()
    print("printed by a library", flush=True)
    if task == "memory":
        held = [bytearray(os.urandom(1 << 16) * 64) for _ in range(1000)]
        time.sleep(30)
        yield str(len(held)).encode()
    elif task == "time":
        time.sleep(60)
    elif task == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif task == "raise":
        raise RuntimeError("a graph that fails")
    elif task == "exit":
        sys.exit(7)
    yield task.upper().encode()


if __name__ == "__main__":
    serve(answers)
