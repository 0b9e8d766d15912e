"""An ONNX Runtime session in a process of its own, for a network that a stranger made; run as a module."""

from __future__ import annotations

import importlib.util
import json
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.confinement import ConfinedProcess, Limits, serve
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.onnx.session import open_session, run_session

OK, FAILED = b"+", b"-"


class ConfinedSession:
    """As an ``InferenceSession``, for one output of one input; several threads take turns."""

    def __init__(self, model: bytes, threads: int, limits: Limits) -> None:
        """Raise ImportError without onnxruntime, EdgeModelError where it does not take the model within limits."""
        if not _installed():
            raise ImportError("onnxruntime")
        self._turn = threading.Lock()
        self._process = ConfinedProcess("ssd_edge_runtime.onnx.confined", limits)
        weakref.finalize(self, self._process.close)
        self._ask({"threads": threads}, model)

    def run(self, outputs: list[str], feeds: dict[str, Float32]) -> list[Any]:
        """The one output asked for. Raises EdgeModelError where the run fails, or the process ends."""
        x = np.ascontiguousarray(feeds["input"], np.float32)
        answer = self._ask({"output": outputs[0], "shape": x.shape}, x.tobytes())
        head, _, data = answer.partition(b"\n")
        told = json.loads(head)
        return [np.frombuffer(data, told["dtype"]).reshape(told["shape"]).copy()]

    def _ask(self, head: dict[str, Any], data: bytes) -> bytes:
        with self._turn:
            answer = self._process.ask(json.dumps(head).encode() + b"\n" + data)
        if answer[:1] != OK:
            raise EdgeModelError(answer[1:].decode(errors="replace"))
        return answer[1:]


def open_limited(model: bytes, threads: int, limits: Limits | None) -> Any:
    """A session in a process of its own, where there are limits, else in this one."""
    return open_session(model, threads) if limits is None else ConfinedSession(model, threads, limits)


def _installed() -> bool:
    try:
        return importlib.util.find_spec("onnxruntime") is not None
    except ValueError:  # how Python says that it may not be imported here
        return False


class _Answers:
    """In the process: first a model to open, then samples to run."""

    def __init__(self) -> None:
        self._session: Any = None

    def __call__(self, message: bytes) -> Iterator[bytes]:
        head, _, data = message.partition(b"\n")
        told = json.loads(head)
        try:
            yield OK + self._answer(told, data)
        except EdgeModelError as error:
            yield FAILED + str(error).encode()

    def _answer(self, told: dict[str, Any], data: bytes) -> bytes:
        if "threads" in told:
            self._session = open_session(data, told["threads"])
            return b""
        x = np.frombuffer(data, np.float32).reshape(told["shape"])
        found = np.ascontiguousarray(run_session(self._session, told["output"], x))
        return json.dumps({"dtype": found.dtype.str, "shape": found.shape}).encode() + b"\n" + found.tobytes()


if __name__ == "__main__":
    serve(_Answers())
