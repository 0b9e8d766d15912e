"""What can be measured: one model, run by each engine in its own process; a module is imported only when used."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ENGINES = ("csr", "onnxruntime", "onnxruntime-dense", "onnxruntime-int8", "torch")


class Engine(Protocol):
    """A loaded model. ``operations``: which of :class:`Operations` it has besides predict."""

    operations: tuple[str, ...]

    def predict(self, x: NDArray[np.float32]) -> Any:
        """Logits of x float32 (N, *input_shape)."""


class Operations(Protocol):
    """What some engines can do; an engine has the methods that it names, and no others."""

    def embed(self, x: NDArray[np.float32]) -> Any:
        """What the encoder alone makes of x float32 (N, *input_shape)."""

    def learn(self, x: NDArray[np.float32], y: NDArray[np.str_]) -> None:
        """One learning step on a batch; ``y`` holds class names."""

    def solve(self) -> None:
        """Bring the readout up to date after a learning step."""

    def save(self, path: Path) -> None:
        """Write the model with what it has learned."""


def missing(engine: str, encoded: bool = False) -> str | None:
    """Why an engine cannot run a model here, ``encoded`` if it has an encoder; None where it can."""
    if engine == "torch" and encoded:
        return "the encoder is an ONNX network"
    package = "torch" if engine == "torch" else "onnxruntime" if engine.startswith("onnxruntime") else None
    if package and importlib.util.find_spec(package) is None:
        return f"{package} is not installed"
    return None


def open_engine(engine: str, path: Path, threads: int) -> Engine:
    """Load a prepared file (see :func:`ssd_edge_bench.engines.prepare.prepare`) into an engine."""
    return _MAKERS[engine](path, threads)


def _edge(path: Path, threads: int) -> Engine:
    from ssd_edge_bench.engines.edge import EdgeEngine

    return EdgeEngine(path, threads)


def _session(path: Path, threads: int) -> Engine:
    from ssd_edge_bench.engines.session import SessionEngine

    return SessionEngine(path, threads)


def _torch(path: Path, threads: int) -> Engine:
    from ssd_edge_bench.engines.torch_dense import TorchEngine
    from ssd_edge_runtime import model_file

    return TorchEngine(model_file.load(path), threads)


_MAKERS: dict[str, Callable[[Path, int], Engine]] = {
    "csr": _edge,
    "onnxruntime": _session,
    "onnxruntime-dense": _session,
    "onnxruntime-int8": _session,
    "torch": _torch,
}
