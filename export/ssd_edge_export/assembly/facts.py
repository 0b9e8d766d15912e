"""What a file tells of its inputs: the range that the training samples had, and how they came to be."""

from __future__ import annotations

from pathlib import Path

from ssd_edge.data import BUILTIN, Dataset
from ssd_edge.training import Run
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.input_facts import UNKNOWN, InputFacts, Scale, Way, Windows, is_image


def facts_of_run(run: Run, data: Dataset | None, encoder: Encoder | None) -> InputFacts:
    """Of a run, behind ``encoder``; ``data``: all training samples, where the run cannot load them itself."""
    shape = run.network.input_shape if encoder is None else encoder.input_shape
    raw = run.raw_training_data() if data is None else data
    return InputFacts(facts_of_data(raw, shape).scale, _image_fit(run, shape), _windows(raw, shape))


def facts_of_data(data: Dataset | None, input_shape: tuple[int, ...]) -> InputFacts:
    """Of samples for a model that takes this shape; embeddings tell nothing of what is fed to an encoder."""
    if data is None or data.input_shape != input_shape:
        return UNKNOWN
    return InputFacts(Scale.of(data.x))


def _image_fit(run: Run, input_shape: tuple[int, ...]) -> Way | None:
    """How pictures came to their size; arrays need not have been pictures."""
    pictures = run.config.data in BUILTIN or Path(run.config.data).is_dir()
    return run.config.image_fit if pictures and is_image(input_shape) else None


def _windows(data: Dataset | None, input_shape: tuple[int, ...]) -> Windows | None:
    """How rows of a table came to be samples; embeddings tell nothing of what is fed to an encoder."""
    return data.cut.windows if data is not None and data.cut and data.input_shape == input_shape else None
