"""Where the samples of a stream are kept: in a journal while that costs less than the file, else in the file."""

from __future__ import annotations

from typing import Any

from ssd_edge.on_device.callbacks import Tell
from ssd_edge.on_device.plan import LearnPlan, use
from ssd_edge.on_device.resume import Resuming, look
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime.checkpoints import Checkpoints


class StreamStore:
    """Checkpoints and saves of a model that learns from a stream, which cannot be read again."""

    def __init__(self, change: Change, plan: LearnPlan, how: Resuming, tell: Tell) -> None:
        """Go on with a journal where asked to; raises OptionError where there is one and nobody asked."""
        self._change, self._own = change, change.model.learning
        deciding = {"data": "standard input", "lr": plan.lr, "distill": plan.distill}
        self._work = Checkpoints(change.model, change.target, deciding)
        unfinished = look(change, deciding, how, tell, endless=True)
        self.resumed = unfinished.progress.get("samples", 0) if unfinished else 0
        """Samples that the journal held at the start."""
        self.samples = 0
        """Samples of this stream that are on storage."""
        self.generation = change.model.state.generation
        self._journaled = self.resumed
        self._journal = unfinished is not None or (how.asked and not self._work.whole)
        if unfinished:
            self._work.go_on(unfinished)
            tell(f"resumed: {self.resumed} samples of {self._work.path}")
        elif self._journal:
            self._work.begin()

    @property
    def place(self) -> dict[str, int]:
        """What an answer says about storage."""
        return {"stored": self.samples, "generation": self.generation}

    def checkpoint(self, samples: int) -> None:
        """Put on storage what was learned, ``samples`` of this stream by now."""
        if not self._journal:
            self.save(samples)
            return
        if self._work.size > self._change.model_bytes:
            self.save(samples)
            self._work.begin()
            return
        journaled = self._journaled + samples - self.samples
        self._work.write({"samples": journaled})
        self.samples, self._journaled = samples, journaled

    def save(self, samples: int) -> dict[str, Any]:
        """Save the file, after which the journal is void; ``samples`` of this stream were learned by now."""
        use(self._change.model, self._own)
        report = self._change.save(self._work.announce) if self._journal else self._change.save()
        self.samples, self._journaled, self.generation = samples, 0, report["generation"]
        return report

    def close(self, *, failed: bool = False) -> None:
        """Remove a journal that is not needed any more: all is saved, or it holds nothing."""
        if self._journal and not (failed and self._journaled):
            self._work.drop()
