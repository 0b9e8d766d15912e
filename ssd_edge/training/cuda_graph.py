"""The whole step as one CUDA graph: at these sizes a GPU waits for Python, not for arithmetic."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ssd_edge.methods import Method, Task
from ssd_edge.training.step import Step

WARM_UP = 3
Replay = Callable[[], None]


def can_capture(step: Step) -> bool:
    """Whether a step is the same kernels on the same memory each time.

    A method with an update or bookkeeping of its own is not, nor are several processes; nor is there a graph
    without a GPU.
    """
    own = any(
        type(method).learn is not Method.learn
        or type(method).after_batch is not Method.after_batch
        or method.steps_by_itself
        for method in step.methods
    )
    return step.network.device.type == "cuda" and not own and not step.counting and step.parallel.size == 1


class GraphStep:
    """``step.learn(task, samples)`` for batches of one size, recorded once and replayed.

    The first few steps run as usual: libraries set themselves up then, which a recording must not contain. Where
    recording fails, all steps run as usual, and a warning says why.
    """

    def __init__(self, step: Step, task: Task, batch_size: int, capture: Callable[[Replay], Replay]) -> None:
        self.step, self.task, self.capture = step, task, capture
        self.samples = torch.zeros(batch_size, dtype=torch.int64, device=task.y.device)
        self.steps = 0
        self.replay: Replay | None = None
        self.works = True

    def learn(self, samples: Tensor) -> None:
        """One step on the task's samples number ``samples``, int64 (N,)."""
        if not self.works or len(samples) != len(self.samples) or self.steps < WARM_UP:
            self.steps += 1
            self.step.learn(self.task, samples)
            return
        self.samples.copy_(samples)
        if self.replay is None:
            self.replay = self.record()
        self.replay()

    def record(self) -> Replay:
        """Record the step; recording does not execute it."""

        def body() -> None:
            self.step.learn(self.task, self.samples)

        try:
            return self.capture(body)
        except RuntimeError as error:
            self.works = False
            warnings.warn(f"no CUDA graph, training runs step by step ({error})", stacklevel=2)
            return body


def capture_cuda(body: Replay) -> Replay:
    """Record ``body`` as a CUDA graph; the result replays it."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    replay: Replay = graph.replay
    return replay
