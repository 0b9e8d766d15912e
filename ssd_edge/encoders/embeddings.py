"""Embeddings of a data set: computed once, kept in a folder beside the run."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, in_parts, unwatched
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.encoder import Encoder, EncoderSession
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.storage.atomic import writing

CACHE = "embeddings.cache"
"""The folder beside a run, shared by all runs there; it may be deleted at any time."""
BLOCK = 1024
"""Samples from one call of ``progress`` to the next."""


class Embeddings:
    """What an encoder makes of samples; those of each class are kept apart.

    So further tasks, other splits and other orders of the classes find again what was computed for these.
    """

    def __init__(self, encoder: Encoder, folder: Path | None = None) -> None:
        """``folder``: where they are kept, ``<encoder>/<samples>.npy``, named by digests; None: in memory."""
        self.encoder = encoder
        self.folder = None if folder is None else folder / encoder.digest[:32]
        self._memory: dict[str, Float32] = {}
        self._session: EncoderSession | None = None

    def of(self, data: Dataset, progress: Progress = unwatched) -> Dataset:
        """``data`` with embeddings float32 (N, width) in place of its samples (N, *input_shape).

        ``progress`` counts samples, after every block. Raises DataError for samples of another shape.
        """
        check_samples(self.encoder, data)
        x = np.empty((len(data), self.encoder.width), np.float32)
        part = in_parts(progress, len(data))
        for label in np.unique(data.y):
            rows = np.flatnonzero(data.y == label)
            x[rows] = self._of_class(data.x[rows], part)
        return replace(data, x=x)

    def _of_class(self, x: Float32, progress: Progress) -> Float32:
        key = digest_of(x)
        found = self._kept(key, len(x))
        if found is not None:
            progress(len(x), len(x))
            return found
        found = self._compute(x, progress)
        self._keep(key, found)
        return found

    def _compute(self, x: Float32, progress: Progress) -> Float32:
        if self._session is None:
            self._session = EncoderSession(self.encoder, threads=cores())
        result = np.empty((len(x), self.encoder.width), np.float32)
        for start in range(0, len(x), BLOCK):
            result[start : start + BLOCK] = self._session.embed(x[start : start + BLOCK])
            progress(min(start + BLOCK, len(x)), len(x))
        return result

    def _kept(self, key: str, samples: int) -> Float32 | None:
        """Mapped into memory; anything that is not what was written is computed again."""
        if self.folder is None:
            return self._memory.get(key)
        try:
            found: Float32 = np.load(self.folder / f"{key}.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        good = found.dtype == np.float32 and found.shape == (samples, self.encoder.width)
        return found if good else None

    def _keep(self, key: str, embeddings: Float32) -> None:
        """A file appears whole or not at all, so several processes may write the same one."""
        if self.folder is None:
            self._memory[key] = embeddings
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with writing(self.folder / f"{key}.npy") as stream:
            np.save(stream, embeddings)


def digest_of(x: Float32) -> str:
    """The first 32 hexadecimal digits of the sha256 of samples (N, *input_shape), shape included."""
    digest = hashlib.sha256(repr(x.shape).encode())
    digest.update(np.ascontiguousarray(x).data)
    return digest.hexdigest()[:32]


def check_samples(encoder: Encoder, data: Dataset) -> None:
    """Raise DataError where the encoder takes samples of another shape."""
    if encoder.input_shape != data.input_shape:
        taken, given = (" x ".join(map(str, shape)) for shape in (encoder.input_shape, data.input_shape))
        raise DataError(f"encoder {encoder.name} takes samples of {taken}, the data set's are {given}")


def cores() -> int:
    """Cores that this process may use, or as many as OMP_NUM_THREADS allows."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(allowed, int(given)) if given.isdecimal() and int(given) else allowed
