"""``inputs`` in the manifest: what the file tells of its samples, as JSON."""

from __future__ import annotations

from typing import Any, get_args

from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.input_facts import MOST_CHANNELS, InputFacts, Scale, Way, Windows
from ssd_edge_runtime.model_file.strict_json import Section

COLUMNS = ("least", "most", "mean", "deviation")


def inputs_document(facts: InputFacts) -> dict[str, Any]:
    """The facts as JSON, those that are not known left out."""
    document: dict[str, Any] = {}
    if facts.scale is not None:
        columns = {name: list(getattr(facts.scale, name)) for name in COLUMNS}
        document["scale"] = {**columns, "whole": facts.scale.whole}
    if facts.image_fit is not None:
        document["image_fit"] = facts.image_fit
    if facts.windows is not None:
        windows = facts.windows
        document["windows"] = {"length": windows.length, "stride": windows.stride}
        document["windows"] |= {"channels": list(windows.channels)} if windows.channels else {}
        document["windows"] |= {"group": windows.group} if windows.group is not None else {}
    return document


def inputs_facts(value: Any) -> InputFacts:
    """The facts in such JSON. Raises EdgeModelError for what is ill-typed or not understood, by name."""
    section = Section(value, "inputs")
    scale = _scale(section.take("scale")) if "scale" in section.values else None
    fit: Way | None = section.text("image_fit", *get_args(Way)) if "image_fit" in section.values else None  # type: ignore[assignment]
    windows = _windows(section.take("windows")) if "windows" in section.values else None
    section.end()
    return InputFacts(scale, fit, windows)


def _scale(value: Any) -> Scale:
    section = Section(value, "inputs.scale")
    least, most, mean, deviation = (tuple(section.numbers(name, MOST_CHANNELS)) for name in COLUMNS)
    scale = Scale(least, most, mean, deviation, section.flag("whole"))
    section.end()
    return scale


def _windows(value: Any) -> Windows:
    section = Section(value, "inputs.windows")
    length, stride = section.count("length"), section.count("stride")
    channels = tuple(section.texts("channels")) if "channels" in section.values else ()
    group = section.text("group") if "group" in section.values else None
    section.end()
    try:
        return Windows(length, stride, channels, group)
    except OptionError as error:
        raise EdgeModelError(f"inputs.windows: {error}") from None
