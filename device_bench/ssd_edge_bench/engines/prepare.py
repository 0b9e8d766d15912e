"""What an engine opens: our file, or the dense or quantised model of the same function."""

from __future__ import annotations

import logging
from pathlib import Path

from ssd_edge_runtime import model_file


def prepare(engine: str, model: Path, folder: Path) -> Path:
    """The file that ``engine`` opens, written under ``folder`` where it is not ``model`` itself."""
    if engine == "onnxruntime-dense":
        return _dense(model, folder)
    if engine == "onnxruntime-int8":
        return _int8(_dense(model, folder), folder)
    return model


def _dense(model: Path, folder: Path) -> Path:
    path = folder / "dense.onnx"
    if not path.exists():
        path.write_bytes(model_file.to_dense_onnx(model_file.load(model)))
    return path


def _int8(dense: Path, folder: Path) -> Path:
    from onnxruntime.quantization import quantize_dynamic

    path = folder / "int8.onnx"
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it recommends a preprocessing step that changes nothing here
    try:
        quantize_dynamic(dense, path)
    finally:
        logger.setLevel(level)
    return path
