"""Loading models and data for device commands; imports neither torch nor anything that does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.cli.arguments import remembered
from ssd_edge.cli.output import say
from ssd_edge.data import Dataset, load, load_arrays
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.errors import DataError


def load_model(path: Path, *, engine: str = "auto", threads: int = 1, verify: bool = True) -> EdgeModel:
    """``EdgeModel.load``, with a warning where the digest is not checked."""
    if not verify:
        say(f"warning: {path}: digest not checked")
    trusted = remembered("trusted") or ()
    return EdgeModel.load(path, engine=engine, threads=threads, verify=verify, trusted=trusted)


def load_inputs(path: Path, model: EdgeModel) -> tuple[NDArray[np.float32], list[str]]:
    """Samples of a file or folder in the model's shape, and where each comes from."""
    shape = model.state.input_shape
    x, sources = load_arrays(path, channels=channels_of(shape))
    width = model.state.sample_width
    if x.shape in (shape, (width,)):
        return x.reshape(1, *shape), [str(path)]
    check_shape(x, shape, width, str(path))
    return x.reshape(-1, *shape), sources


def load_labelled(data: str, model: EdgeModel, *, split: str, root: Path | None) -> Dataset:
    """A labelled data set whose samples fit the model."""
    shape, width = model.state.input_shape, model.state.sample_width
    dataset = load(data, split=split, root=root, channels=channels_of(shape))  # type: ignore[arg-type]
    check_shape(dataset.x, shape, width, data)
    return dataset


def channels_of(shape: tuple[int, ...]) -> int | None:
    """What image files are converted to for a model of this input; None where it takes no images."""
    return shape[0] if len(shape) == 3 and shape[0] in (1, 3) else None


def check_shape(x: NDArray[Any], shape: tuple[int, ...], width: int, source: str) -> None:
    """Raise DataError unless ``x`` is (N, *shape) or (N, width)."""
    if x.shape[1:] not in (shape, (width,)):
        found, wanted = (" x ".join(map(str, dims)) for dims in (x.shape[1:], shape))
        raise DataError(f"{source}: samples have shape {found}, the model takes {wanted}")
