"""An empty figure to draw into; matplotlib is imported here alone, and leaves nothing in the user's home."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ssd_edge_runtime.errors import MissingExtraError
from ssd_edge_runtime.storage.atomic import writing
from ssd_edge_runtime.storage.folders import scratch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLACE = "MPLCONFIGDIR"


def new_figure(width: float, height: float, purpose: str) -> Figure:
    """A figure of inches, drawn without a window. Raises MissingExtraError, naming ``purpose``."""
    try:
        with _without_traces():
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(purpose) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture of the kind that the name says; the file appears whole or not at all."""
    with writing(path) as stream:
        figure.savefig(stream, format=path.suffix[1:] or "png", dpi=120)


@contextmanager
def _without_traces() -> Iterator[None]:
    """Matplotlib keeps a list of fonts when it is imported: of those who never used it, in a scratch folder."""
    if "matplotlib" in sys.modules or PLACE in os.environ or any(map(Path.is_dir, _usual_places())):
        yield
        return
    with scratch() as folder:
        os.environ[PLACE] = str(folder)
        try:
            yield
        finally:
            del os.environ[PLACE]


def _usual_places() -> list[Path]:
    """Where matplotlib keeps settings and its list of fonts."""
    named = [os.environ[name] for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME") if os.environ.get(name)]
    try:
        home = Path.home()
    except RuntimeError:  # a user without one
        return [Path(place, "matplotlib") for place in named]
    usual = [home / ".config", home / ".cache", *map(Path, named)]
    return [home / ".matplotlib", *(place / "matplotlib" for place in usual)]
