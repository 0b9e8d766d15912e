"""Models and data as device functions take them: by name or path, or as they are in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ssd_edge.data import Dataset, Reading, load_arrays, load_data
from ssd_edge.data.labels import number_labels
from ssd_edge.on_device.callbacks import Tell, silent
from ssd_edge.on_device.keys import Keys
from ssd_edge_runtime import EdgeModel
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.serving.inputs import as_samples
from ssd_edge_runtime.serving.labels import as_names

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


def load_model(model: Model, loading: Loading = Loading(), keys: Keys = Keys(), tell: Tell = silent) -> EdgeModel:
    """The model in a file, or the one given; tells a warning where the digest is not checked."""
    if isinstance(model, EdgeModel):
        return model
    if not loading.verify:
        tell(f"warning: {model}: digest not checked")
    return EdgeModel.load(
        model,
        engine=loading.engine,
        threads=loading.threads,
        verify=loading.verify,
        trusted=keys.trusted,
        allow_older=keys.allow_older,
    )


def note_confined(model: EdgeModel, tell: Tell) -> None:
    """Tell that an encoder is about to run in a process of its own, because no trusted key has signed it."""
    encoder = model.state.encoder
    if encoder is not None and encoder.confined:
        tell(
            f"note: no trusted key has signed the encoder {encoder.name}: it runs in a process of its own, "
            f"with at most {encoder.limits} for an answer"
        )


def load_inputs(samples: Any, model: EdgeModel, reading: Reading = Reading()) -> tuple[Float32, list[str]]:
    """Samples (N, *input_shape), and where each comes from: ``photo.png``, ``part.npz[3]``, ``sample 3``.

    ``samples``: the path of an image, a folder of images, ``.npz``, ``.npy`` or ``.csv``; or an array, of
    several samples or one, in the model's shape or flat. ``reading``: what a file leaves open. Raises
    DataError, EdgeModelError or OSError.
    """
    shape, width = model.state.input_shape, model.state.sample_width
    if not isinstance(samples, str | Path):
        x = as_samples(samples, shape, width).reshape(-1, *shape)
        return x, [f"sample {number}" for number in range(1, len(x) + 1)]
    x, sources = load_arrays(samples, channels=channels_of(shape), reading=reading, width=width)
    if x.shape in (shape, (width,)):
        return x.reshape(1, *shape), [str(samples)]
    check_shape(x, shape, width, str(samples))
    return x.reshape(-1, *shape), sources


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
        x = as_samples(data[0], shape, width)
        return Dataset(x, *number_labels(as_names(data[1], len(x))))
    if isinstance(data, Dataset):
        check_shape(data.x, shape, width, "data")
        return data
    channels = channels_of(shape)
    dataset = load_data(data, split=split, root=root, channels=channels, reading=reading, width=width)  # type: ignore[arg-type]
    check_shape(dataset.x, shape, width, str(data))
    return dataset


def channels_of(shape: tuple[int, ...]) -> int | None:
    """What image files are converted to for a model of this input; None where it takes no images."""
    return shape[0] if len(shape) == 3 and shape[0] in (1, 3) else None


def check_shape(x: NDArray[Any], shape: tuple[int, ...], width: int, source: str) -> None:
    """Raise DataError unless ``x`` is (N, *shape) or (N, width)."""
    if x.shape[1:] not in (shape, (width,)):
        found, wanted = (" x ".join(map(str, dims)) for dims in (x.shape[1:], shape))
        raise DataError(f"{source}: samples have shape {found}, the model takes {wanted}")
