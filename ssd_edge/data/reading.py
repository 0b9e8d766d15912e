"""How the contents of a file become samples, where a file leaves the choice."""

from __future__ import annotations

from dataclasses import dataclass

from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.input_facts import Fit, Way, Windows


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of reading; each concerns the kinds of files that it names."""

    label_column: str | None = None
    """Tables: the column of the labels, by name or number from 1; None: found out."""
    image_size: int | tuple[int, int] | None = None
    """Images: bring each to a square of so many pixels, or to height and width; None: as they are."""
    image_fit: Way = "crop"
    """How: ``crop`` keeps the middle, ``pad`` all of it on black, ``stretch`` all of it, out of proportion."""
    window: int | None = None
    """Tables: samples of so many consecutive rows of one label; None: each row is a sample."""
    stride: int | None = None
    """Rows from the start of one window to the start of the next; None: as many as a window has."""
    channels: tuple[str, ...] = ()
    """Columns of a window, in the order of its channels, by name or number from 1; none: all measurements."""
    group: str | None = None
    """A column whose changes no window goes across: a recording, a person."""

    def __post_init__(self) -> None:
        _ = self.fit, self.windows

    @property
    def fit(self) -> Fit | None:
        """What is done to images."""
        if self.image_size is None:
            return None
        size = self.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return Fit(height, width, self.image_fit)

    @property
    def windows(self) -> Windows | None:
        """How rows of a table become samples; None: each is one."""
        if self.window is None:
            for name in ("stride", "channels", "group"):
                OptionError.unless(not getattr(self, name), f"{name} is an option of windows: give window, too")
            return None
        stride = self.window if self.stride is None else self.stride
        return Windows(self.window, stride, self.channels, self.group)
