"""The encoder that a file has in front of a network."""

from __future__ import annotations

from dataclasses import replace

from ssd_edge.data import Dataset
from ssd_edge.training import Run
from ssd_edge_runtime.encoder import Encoder, EncoderSession
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.state import ModelState


def encoder_for(run: Run, given: Encoder | None) -> Encoder | None:
    """The encoder that a run was trained behind, or the one given for a run that was trained on its embeddings.

    Raises OptionError for two, and for one that does not fit the network.
    """
    if run.encoder is not None and given is not None and run.encoder != given:
        raise OptionError(f"encoder {given.name}: this run was trained behind another, {run.encoder.name}")
    encoder = run.encoder or given
    if encoder is not None:
        check_fit(encoder, run.network.input_width)
    return encoder


def check_fit(encoder: Encoder, width: int) -> None:
    """Raise OptionError unless the encoder's embeddings are what a network of ``width`` inputs takes."""
    if encoder.width != width:
        raise OptionError(f"encoder {encoder.name} gives {encoder.width} values, the network takes {width}")


def embedded(data: Dataset | None, encoder: Encoder | None) -> Dataset | None:
    """``data`` as the network takes it: what the encoder makes of it, or as it is where it is embeddings already.

    Raises DataError where it is neither.
    """
    if data is None or encoder is None or data.input_shape == (encoder.width,):
        return data
    if data.input_shape != encoder.input_shape:
        taken, given = (" x ".join(map(str, shape)) for shape in (encoder.input_shape, data.input_shape))
        raise DataError(f"encoder {encoder.name} takes samples of {taken}, the data's are {given}")
    return replace(data, x=EncoderSession(encoder).embed(data.x))


def behind(encoder: Encoder | None, state: ModelState) -> ModelState:
    """``state`` with the encoder in front, so that it takes what that takes."""
    return state if encoder is None else replace(state, encoder=encoder, input_shape=encoder.input_shape)
