"""Data-parallel training: several processes, one run (``torchrun --nproc-per-node N -m ssd_edge train ...``).

Every process holds the whole data and the same network. A batch is dealt out over the processes; gradients,
activation counts and statistics are summed over them, so that N processes take the step that one would.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist


@dataclass(frozen=True)
class Parallel:
    """This process among its peers; ``Parallel()`` is a process alone."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, samples: Tensor) -> Tensor:
        """This process's part of ``samples``; the parts of all processes make up the whole."""
        return samples if self.size == 1 else samples[self.rank :: self.size]

    def sum_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Do something in the main process, then in all others: they find what it has written."""
        if not self.is_main:
            self.wait()
        yield
        if self.is_main:
            self.wait()

    def wait(self) -> None:
        """Go on only when all processes are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Parallel()
"""One process, no peers."""


@contextmanager
def join_processes(use_gpu: bool) -> Iterator[Parallel]:
    """The group that ``torchrun`` started this process in, with NCCL on GPUs and gloo on CPUs; else alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if use_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    dist.init_process_group("nccl" if use_gpu else "gloo")
    try:
        yield Parallel(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()
