"""A published state of a model, its engines, and the number of predictions that are reading it."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.network.engines import CSREngine, Engine, OnnxEngine, choose
from ssd_edge_runtime.state import ModelState

if TYPE_CHECKING:
    from ssd_edge_runtime.gradient.teacher import Teacher


class Snapshot:
    """Readers predict from a snapshot; nobody writes into it while it is published, lent or being read."""

    def __init__(self, state: ModelState, version: int = 0, teacher: Teacher | None = None) -> None:
        self.state = state
        self.version = version
        """The change of an analytic learner that its readout is as old as."""
        self.teacher = teacher
        """Of a gradient learner, published with what it taught."""
        self.readers = 0
        self.lent = False
        """Whether its arrays were handed to the caller: then they are never written again."""
        self._csr = CSREngine(state)
        self._onnx: OnnxEngine | None = None
        self._served = 0
        self._building = threading.Lock()

    def logits(self, x: Float32, engine: str, threads: int) -> Float32:
        """Logits of checked samples, by ``engine``."""
        self._served += len(x)
        return self.engine(engine, len(x), threads).logits(x)

    def engine(self, name: str, batch: int, threads: int) -> Engine:
        """The engine ``name``; "auto" chooses by :func:`ssd_edge_runtime.network.engines.choose`."""
        wanted = choose(self.state, batch, self._served) if name == "auto" else name
        if wanted == "csr":
            return self._csr
        with self._building:
            if self._onnx is None:
                self._onnx = OnnxEngine(self.state, threads)
            return self._onnx

    def rewritten(self) -> None:
        """Its arrays have changed in place: sessions made from them are void."""
        self._onnx = None
        self._served = 0


class Published:
    """The snapshot that predictions read, and who is still reading which."""

    def __init__(self, state: ModelState) -> None:
        self.gate = threading.Lock()
        """Guards :attr:`snapshot` and every :attr:`Snapshot.readers`."""
        self.snapshot = Snapshot(state)
        # The arrays may be the caller's, or read-only.
        self.snapshot.lent = True

    def answer(self, x: Float32, engine: str, threads: int) -> tuple[ModelState, Float32]:
        """Logits of checked samples, and the state that gave them."""
        with self.gate:
            snapshot = self.snapshot
            snapshot.readers += 1
        try:
            return snapshot.state, snapshot.logits(x, engine, threads)
        finally:
            with self.gate:
                snapshot.readers -= 1

    def put(self, snapshot: Snapshot) -> None:
        """Let predictions that begin from now on read ``snapshot``."""
        with self.gate:
            self.snapshot = snapshot

    def put_newer(self, snapshot: Snapshot) -> None:
        """The same, unless one of a later version is there."""
        with self.gate:
            if snapshot.version > self.snapshot.version:
                self.snapshot = snapshot

    def put_changed(self, **changes: Any) -> None:
        """Let them read the same arrays with other plain fields."""
        old = self.snapshot
        fresh = Snapshot(dataclasses.replace(old.state, **changes), old.version, old.teacher)
        fresh.lent = old.lent
        self.put(fresh)

    def idle(self, snapshot: Snapshot) -> bool:
        """Whether nobody reads a snapshot that is published no more."""
        with self.gate:
            return snapshot.readers == 0
