"""The one owner of the file format: header, container, manifest, graph, codecs, checks, encode, decode."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssd_edge_runtime.lazy import lazy

if TYPE_CHECKING:
    from ssd_edge_runtime.model_file.classes import class_names
    from ssd_edge_runtime.model_file.codecs import round_matrix, round_values
    from ssd_edge_runtime.model_file.container import FORMAT, read_file
    from ssd_edge_runtime.model_file.description import describe
    from ssd_edge_runtime.model_file.format import from_bytes, load, round_state, to_bytes, to_dense_onnx
    from ssd_edge_runtime.model_file.header import digest_of

__all__ = [
    "FORMAT",
    "class_names",
    "describe",
    "digest_of",
    "from_bytes",
    "load",
    "read_file",
    "round_matrix",
    "round_state",
    "round_values",
    "to_bytes",
    "to_dense_onnx",
]
__getattr__, __dir__ = lazy(
    __name__,
    {
        "classes": ("class_names",),
        "codecs": ("round_matrix", "round_values"),
        "container": ("FORMAT", "read_file"),
        "description": ("describe",),
        "format": ("from_bytes", "load", "round_state", "to_bytes", "to_dense_onnx"),
        "header": ("digest_of",),
    },
)
