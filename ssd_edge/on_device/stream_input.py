"""What comes on a stream, as samples with or without labels: JSON lines, or arrays one after another."""

from __future__ import annotations

import io
import json
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

import numpy as np
from numpy.lib.format import MAGIC_PREFIX
from numpy.typing import NDArray

from ssd_edge.data.archives import as_samples
from ssd_edge.data.limits import check_memory, check_text
from ssd_edge.data.npy_stream import CutOffError, read_frames
from ssd_edge.on_device.stream_rows import as_windows, by_name
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.input_facts import Windows
from ssd_edge_runtime.names import class_name
from ssd_edge_runtime.options import require_choice
from ssd_edge_runtime.serving.labels import as_names
from ssd_edge_runtime.serving.shapes import as_rows, orders, told

StreamFormat = Literal["auto", "json", "npy"]
"""JSON lines, or arrays as ``np.save`` writes them, one after another; "auto" tells by the first byte."""
Source = IO[bytes] | Iterable[str | bytes]
"""A binary file (a pipe, standard input), lines of text, or bytes piece by piece as they come."""
LONGEST_LINE = 1 << 26
"""Bytes; an endless line is refused before it fills the memory."""
LONG_LINE = 1 << 20
"""Bytes of a line from which on it is asked whether the memory holds what it may stand for."""
JSON_FACTOR = 40
"""Bytes in memory for one of a line: an empty list takes 56 and its place 8, and is written in three."""


@dataclass(frozen=True, eq=False)
class Samples:
    """What was sent together: a line's sample, or a frame's."""

    x: Float32
    """(N, *input_shape)."""
    labels: list[str] | None
    """Class names, one per sample; None for samples to be predicted."""
    source: Any
    """What an answer calls them: the ``id`` of a line, ``line 3`` or ``frame 3``."""
    single: bool = True
    """Whether one sample was sent, not a batch that may hold one."""

    def sources(self) -> list[Any]:
        """What an answer calls each sample."""
        if self.single:
            return [self.source]
        return [f"{self.source}, sample {number}" for number in range(1, len(self.x) + 1)]


@dataclass(frozen=True)
class Takes:
    """What a model takes."""

    shape: tuple[int, ...]
    windows: Windows | None = None

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of one sample, in every order of axes that is known for it."""
        return orders(self.shape)


def read_samples(
    model: EdgeModel, source: Source, kind: StreamFormat, *, labelled: bool
) -> Iterator[Samples | DataError]:
    """A stream's samples as soon as they are there, or a DataError that names a line or frame to go past.

    ``labelled``: every second frame holds the labels of the one before. Raises DataError where nothing after it
    can be read.
    """
    require_choice("form", kind, get_args(StreamFormat))
    takes = Takes(model.state.input_shape, model.state.inputs.windows)
    with _as_file(source) as stream:
        if kind == "auto":
            kind = "npy" if stream.peek(1)[:1] == MAGIC_PREFIX[:1] else "json"
        if kind == "json":
            yield from _read_lines(stream, takes)
            return
        frames = read_frames(stream)
        try:
            yield from _read_pairs(frames, takes) if labelled else _read_unlabelled(frames, takes)
        except CutOffError as error:
            yield error


@contextmanager
def _as_file(source: Any) -> Iterator[io.BufferedReader]:
    """The source with a buffer; it stays open afterwards, as it was given."""
    if isinstance(source, io.BufferedReader):
        yield source
        return
    DataError.unless(
        not isinstance(source, str | bytes | Path),
        "a stream is a binary file or an iterable of lines, not one text",
    )
    buffered = io.BufferedReader(source if hasattr(source, "readinto") else _Pieces(source))
    try:
        yield buffered
    finally:
        buffered.detach()


class _Pieces(io.RawIOBase):
    """What an iterator gives, as a file: each piece can be read as soon as it is there."""

    def __init__(self, pieces: Iterable[str | bytes]) -> None:
        self._pieces, self._left = iter(pieces), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = piece if isinstance(piece, bytes) else _as_line(piece)
        size = min(len(buffer), len(self._left))
        buffer[:size], self._left = self._left[:size], self._left[size:]
        return size


def _as_line(text: str) -> bytes:
    return text.removesuffix("\n").encode(errors="surrogatepass") + b"\n"


def _read_lines(stream: IO[bytes], takes: Takes) -> Iterator[Samples | DataError]:
    number = 0
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise DataError(f"line {number} is longer than {LONGEST_LINE} bytes")
        # PowerShell begins its text with a byte order mark.
        line = line.removeprefix(BOM_UTF8) if number == 1 else line
        if line.strip():
            try:
                if len(line) > LONG_LINE:
                    check_memory(len(line) * JSON_FACTOR, f"line {number}")
                yield parse_line(line.decode(), number, takes)
            except UnicodeDecodeError as error:
                yield DataError(f"line {number}: not UTF-8 ({error})")
            except DataError as error:
                yield error


def parse_line(line: str, number: int, takes: Takes) -> Samples:
    """``{"x": [...], "y": "label", "id": ...}`` or the bare array ``[...]``. Raises DataError, naming the line."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"line {number}: not JSON ({error})") from error
    fields = document if isinstance(document, dict) else {"x": document}
    unknown = sorted(set(fields) - {"x", "y", "id"})
    if "x" not in fields or unknown:
        found = f"unknown {unknown[0]!r}" if unknown else "no x"
        raise DataError(f"line {number}: {found}; a line is an array, or an object with x and maybe y and id")
    label, identity = fields.get("y"), fields.get("id")
    _check_answerable(identity, number)
    try:
        name = None if label is None else class_name(label)
    except EdgeModelError as error:
        raise DataError(f"line {number}: {error}") from error
    x = _as_samples(fields["x"], f"line {number}", takes)
    source = f"line {number}" if identity is None else identity
    return Samples(x, None if name is None else [name] * len(x), source, len(x) == 1)


def _check_answerable(identity: Any, number: int) -> None:
    """The ``id`` of a line stands in its answer, which is JSON."""
    try:
        json.dumps(identity, allow_nan=False)
    except ValueError as error:
        raise DataError(f"line {number}: id cannot be given back ({error})") from error


def _as_samples(values: Any, source: str, takes: Takes) -> Float32:
    """Numbers of a line in the model's shape: one sample, or the windows of a logger's rows. Raises DataError."""
    values = by_name(values, takes.windows, source)
    try:
        with np.errstate(over="ignore"):  # found below
            x = np.array(values, np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{source}: x must be numbers, nested alike ({error})") from error
    windows = as_windows(x, takes.shape, takes.windows, source)
    if windows is None and x.shape not in takes.shapes:
        found = " x ".join(map(str, x.shape))
        raise DataError(f"{source}: x has shape {found}, the model takes {told(takes.shape)}")
    _check_finite(x, source)
    return as_rows(x, takes.shape).reshape(1, *takes.shape) if windows is None else windows


Frames = Iterator[tuple[str, NDArray[Any]]]


def _read_unlabelled(frames: Frames, takes: Takes) -> Iterator[Samples | DataError]:
    for source, values in frames:
        try:
            yield _as_batch(values, source, takes)
        except DataError as error:
            yield error


def _read_pairs(frames: Frames, takes: Takes) -> Iterator[Samples | DataError]:
    for source, values in frames:
        after = next(frames, None)
        try:
            if after is None:
                raise DataError(f"{source}: no frame of labels follows it")
            batch = _as_batch(values, source, takes)
            yield Samples(batch.x, _as_labels(*after, len(batch.x)), source, batch.single)
        except DataError as error:
            yield error


def _as_batch(values: NDArray[Any], source: str, takes: Takes) -> Samples:
    x = as_samples(values, source)
    windows = as_windows(x, takes.shape, takes.windows, source)
    x = x if windows is None else windows
    single = x.shape in takes.shapes
    if not single and (not x.ndim or x.shape[1:] not in takes.shapes):
        found = " x ".join(map(str, x.shape))
        raise DataError(f"{source}: x has shape {found}, the model takes one or several of {told(takes.shape)}")
    if not len(x):
        raise DataError(f"{source}: no samples in it")
    _check_finite(x, source)
    return Samples(as_rows(x, takes.shape).reshape(-1, *takes.shape), None, source, single)


def _as_labels(source: str, values: NDArray[Any], samples: int) -> list[str] | None:
    if values.dtype.kind not in "fiuU":
        raise DataError(f"{source}: labels must be whole numbers or text, got {values.dtype}")
    if values.shape == (0,):
        return None
    check_text(values, source)
    try:
        return as_names(values, samples)
    except EdgeModelError as error:
        raise DataError(f"{source}: {error}") from error


def _check_finite(x: Float32, source: str) -> None:
    if not np.isfinite(x).all():
        raise DataError(f"{source}: x holds NaN or infinity")
