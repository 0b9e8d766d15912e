"""How the contents of a file become samples, where a file leaves the choice."""

from __future__ import annotations

from dataclasses import dataclass

from ssd_edge_runtime.input_facts import Fit, Way


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Options of reading; each concerns the kinds of files that it names."""

    label_column: str | None = None
    """Tables: the column of the labels, by name or number from 1; None: found out."""
    image_size: int | tuple[int, int] | None = None
    """Images: bring each to a square of so many pixels, or to height and width; None: as they are."""
    image_fit: Way = "crop"
    """How: ``crop`` keeps the middle, ``pad`` all of it on black, ``stretch`` all of it, out of proportion."""

    def __post_init__(self) -> None:
        _ = self.fit

    @property
    def fit(self) -> Fit | None:
        """What is done to images."""
        if self.image_size is None:
            return None
        size = self.image_size
        height, width = (size, size) if isinstance(size, int) else size
        return Fit(height, width, self.image_fit)
