"""The encoder in a run folder, and the embeddings kept beside it."""

from __future__ import annotations

from pathlib import Path

from ssd_edge.encoders.embeddings import CACHE, Embeddings
from ssd_edge_runtime.encoder import Encoder, import_encoder
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.storage.atomic import writing

ENCODER = "encoder.onnx"


def save_encoder(folder: Path, encoder: Encoder) -> None:
    """Write the encoder into a run folder, whole or not at all, unless it is there."""
    write_encoder(folder / ENCODER, encoder)


def write_encoder(place: Path, encoder: Encoder) -> None:
    """Write an ordinary ONNX file of the encoder; it appears whole or not at all."""
    data = encoder.to_onnx()
    if place.is_file() and place.read_bytes() == data:
        return
    with writing(place) as stream:
        stream.write(data)


def load_embeddings(folder: Path, encoder: str | None) -> Embeddings | None:
    """The encoder in a run folder, called after ``encoder``, with the cache beside it; None where that is None.

    Raises DataError where it is missing, EdgeModelError where it is no encoder.
    """
    if encoder is None:
        return None
    if not (folder / ENCODER).is_file():
        raise DataError(f"{folder}: {ENCODER} is missing, which this run was trained behind")
    return Embeddings(import_encoder(folder / ENCODER, Path(encoder).stem), folder.parent / CACHE)


def check_same(folder: Path, digest: str | None, embeddings: Embeddings | None) -> None:
    """Raise DataError unless the encoder in ``folder`` is that with ``digest``, which a run was trained behind."""
    found = None if embeddings is None else embeddings.encoder.digest
    if found != digest:
        raise DataError(f"{folder / ENCODER}: not the encoder that this run was trained behind; put that one back")
