"""Where the samples of a stream are kept: in a journal while that costs less than the file, else in the file."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ssd_edge.on_device.callbacks import Tell
from ssd_edge.on_device.plan import LearnPlan, use
from ssd_edge.on_device.resume import Pace, Resuming, go_on, look
from ssd_edge.on_device.transaction import Change
from ssd_edge_runtime.checkpoints import Checkpoints
from ssd_edge_runtime.errors import SSDEdgeError

JOURNAL_PACE = (1000, 60.0)
"""Samples and seconds between flushes of a journal, where nothing is said: a few kilobytes each."""
FILE_PACE = (100_000, 600.0)
"""The same where each checkpoint is a whole file."""


class StreamStore:
    """Checkpoints and saves of a model that learns from a stream, which cannot be read again."""

    def __init__(self, change: Change, plan: LearnPlan, how: Resuming, tell: Tell) -> None:
        """Go on with a journal where asked to; raises OptionError where there is one and nobody asked."""
        self._change, self._own, self._tell = change, change.model.learning, tell
        deciding = {"data": "standard input", "lr": plan.lr, "distill": plan.distill}
        self._work = Checkpoints(change.model, change.target, deciding, change.keys.seal)
        self._pace = Pace(how.or_else(*(FILE_PACE if self._work.whole else JOURNAL_PACE)))
        unfinished = look(change, deciding, how, tell, endless=True)
        self.resumed = unfinished.progress.get("samples", 0) if unfinished else 0
        """Samples that the journal held at the start."""
        self.samples = 0
        """Samples of this stream that are on storage."""
        self.generation = change.model.state.generation
        self._journaled = self.resumed
        self._journal = unfinished is not None or not self._work.whole
        if unfinished:
            go_on(self._work, unfinished, tell)
            tell(f"resumed: {self.resumed} samples of {self._work.path}")
        elif self._journal:
            self._work.begin()

    @property
    def place(self) -> dict[str, int]:
        """What an answer says about storage."""
        return {"stored": self.samples, "generation": self.generation}

    def keep(self, samples: int, new: int) -> None:
        """``new`` more samples were learned, ``samples`` of this stream by now: let them outlive this process.

        A journal does at once, the file at the next checkpoint. When that is due both outlive a power cut.
        """
        due = self._pace.due(new)
        if due and (not self._journal or self._work.size > self._change.model_bytes):
            self.save(samples)
            if self._journal:
                self._work.begin()
        elif self._journal:
            self._work.write({"samples": self._journaled + new}, sync=due)
            self._journaled += new
            self.samples = samples if due else self.samples

    def save(self, samples: int) -> dict[str, Any]:
        """Save the file, after which the journal is void; ``samples`` of this stream were learned by now."""
        use(self._change.model, self._own)
        report = self._change.save(self._work.announce) if self._journal else self._change.save()
        self.samples, self._journaled, self.generation = samples, 0, report["generation"]
        return report

    def rescue(self, samples: int) -> None:
        """After an error: what was learned before it stays in the journal, or is saved where there is none."""
        if not self._journal and samples > self.samples:
            with suppress(OSError, SSDEdgeError):
                self.save(samples)
                self._tell(f"{self._change.target} holds the {samples} samples learned before the error")
        self.close(failed=True)

    def close(self, *, failed: bool = False) -> None:
        """Remove a journal that is not needed any more: all is saved, or it holds nothing."""
        if not self._journal:
            return
        if failed and self._journaled:
            with suppress(OSError):
                self._work.flush()
            self._tell(f"{self._work.path} holds {self._journaled} samples: go on with --resume")
        else:
            self._work.drop()
