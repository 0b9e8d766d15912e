"""Models and data as device functions take them: by name or path, or as they are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ssd_edge.data import Dataset, Reading, load_arrays, load_data
from ssd_edge.data.labels import number_labels
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.keys import Keys
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.input_facts import is_image
from ssd_edge_runtime.serving.labels import as_names
from ssd_edge_runtime.serving.shapes import orders, told

Model = str | Path | EdgeModel
"""A model file, or a model that is loaded already."""
Data = str | Path | Dataset | tuple[Any, Any]
"""Labelled samples: a built-in name, a file or folder, a Dataset, or arrays (x, y) as ``partial_fit`` has."""


@dataclass(frozen=True)
class Loading:
    """How a model file is opened."""

    engine: str = "auto"
    """What computes the answers: "csr", "onnxruntime", or "auto", the faster one."""
    threads: int = 1
    """Cores for ONNX Runtime, also where it runs an encoder."""
    verify: bool = True
    """Whether the file's digest is checked."""
    scale_strict: bool = False
    """Refuse samples in another range than the model was trained on; else that is only told."""


def load_model(model: Model, loading: Loading = Loading(), keys: Keys = Keys(), tell: Tell = silent) -> EdgeModel:
    """The model in a file, or the one given; tells a warning where the digest is not checked."""
    if isinstance(model, EdgeModel):
        return model
    if not loading.verify:
        tell(f"warning: {model}: digest not checked")
    edge = EdgeModel.load(
        model,
        engine=loading.engine,
        threads=loading.threads,
        verify=loading.verify,
        trusted=keys.trusted,
        allow_older=keys.allow_older,
    )
    edge.scale_check = "strict" if loading.scale_strict else "warn"
    return edge


def note_confined(model: EdgeModel, tell: Tell) -> None:
    """Tell that an encoder is about to run in a process of its own, because no trusted key has signed it."""
    encoder = model.state.encoder
    if encoder is not None and encoder.confined:
        tell(
            f"note: no trusted key has signed the encoder {encoder.name}: it runs in a process of its own, "
            f"with at most {encoder.limits} for an answer"
        )


def load_inputs(samples: Any, model: EdgeModel, reading: Reading = Reading()) -> tuple[Float32, Sequence[str]]:
    """Samples (N, *input_shape), and where each comes from: ``photo.png``, ``part.npz[3]``, ``sample 3``.

    ``samples``: the path of an image, a folder of images, ``.npz``, ``.npy`` or ``.csv``; or an array, of
    several samples or one, in the model's shape or flat. ``reading``: what a file leaves open. Raises
    DataError, EdgeModelError or OSError.
    """
    shape, width = model.state.input_shape, model.state.sample_width
    if not isinstance(samples, str | Path):
        x = model.as_samples(samples)
        return x, [f"sample {number}" for number in range(1, len(x) + 1)]
    reading = reading_for(model, reading)
    x, sources = load_arrays(samples, channels=channels_of(shape), reading=reading, width=width)
    if x.shape in orders(shape):
        x, sources = x[None], [str(samples)]
    return fitted(x, model, str(samples)), sources


def load_labelled(
    data: Data,
    model: EdgeModel,
    *,
    split: str,
    root: str | Path | None = None,
    reading: Reading = Reading(),
) -> Dataset:
    """A labelled data set whose samples fit the model; ``split``, ``root``, ``reading`` are for data by name.

    Raises DataError, EdgeModelError, or MissingExtraError where a built-in data set needs torchvision.
    """
    shape, width = model.state.input_shape, model.state.sample_width
    if isinstance(data, tuple):
        DataError.unless(len(data) == 2, f"data must be (x, y), samples and their labels, got {len(data)} parts")
        x = model.as_samples(data[0])
        return Dataset(x, *number_labels(as_names(data[1], len(x))))
    if isinstance(data, Dataset):
        return replace(data, x=fitted(data.x, model, "data"))
    dataset = load_data(
        data,
        split=split,  # type: ignore[arg-type]
        root=root,
        channels=channels_of(shape),
        reading=reading_for(model, reading),
        width=width,
    )
    return replace(dataset, x=fitted(dataset.x, model, str(data)))


def reading_for(model: EdgeModel, reading: Reading) -> Reading:
    """``reading`` with what the model's file says where it leaves a choice open."""
    facts, shape = model.state.inputs, model.state.input_shape
    if reading.image_size is None and facts.image_fit is not None:
        reading = replace(reading, image_size=(shape[1], shape[2]), image_fit=facts.image_fit)
    if reading.window is None and facts.windows is not None:
        own = facts.windows
        reading = replace(reading, window=own.length, stride=own.stride, channels=own.channels, group=own.group)
    return reading


def channels_of(shape: tuple[int, ...]) -> int | None:
    """What image files are converted to for a model of this input; None where it takes no images."""
    return shape[0] if is_image(shape) else None


def fitted(x: NDArray[Any], model: EdgeModel, source: str) -> Float32:
    """Samples (N, ...) as the model is fed them, (N, *input_shape). Raises DataError for another shape."""
    shape = model.state.input_shape
    if x.shape[1:] not in orders(shape):
        found = " x ".join(map(str, x.shape[1:]))
        raise DataError(f"{source}: samples have shape {found}, the model takes {told(shape)}")
    try:
        return model.as_samples(x)
    except EdgeModelError as error:
        raise DataError(f"{source}: {error}") from error
