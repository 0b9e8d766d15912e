"""A labelled data set in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data.cuts import Cut
from ssd_edge.data.tasks import split_classes
from ssd_edge_runtime.arrays import Float32, Int64
from ssd_edge_runtime.errors import DataError, EdgeModelError
from ssd_edge_runtime.names import canonical, class_name


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples, labels and class names; checked when made.

    ``x`` float32 (N, *input_shape), finite; ``y`` int64 (N,), indices into ``classes``, whose names are written as
    :func:`~ssd_edge_runtime.names.class_name` has them.
    Raises DataError where these do not fit together.
    """

    x: Float32
    y: Int64
    classes: tuple[str, ...]
    source: str = ""
    """Where it comes from, for messages."""
    cut: Cut | None = None
    """How they were cut from a table, where they are windows of it."""

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or self.x[:1].size == 0:
            raise DataError(f"x must have shape (N, ...) with at least one sample, got {self.x.shape}")
        if self.y.shape != (len(self.x),):
            raise DataError(f"x holds {len(self.x)} samples but y has shape {self.y.shape}")
        try:
            object.__setattr__(self, "classes", tuple(map(class_name, self.classes)))
        except EdgeModelError as error:
            raise DataError(str(error)) from error
        if len(set(self.classes)) != len(self.classes):
            raise DataError(f"class names must differ, got {', '.join(self.classes)}")
        outside = (self.y < 0) | (self.y >= len(self.classes))
        if outside.any():
            raise DataError(f"label {int(self.y[outside][0])} is outside 0 to {len(self.classes) - 1}")
        if not np.isfinite(self.x).all():
            sample = int(np.argmin(np.isfinite(self.x.reshape(len(self.x), -1)).all(axis=1)))
            raise DataError(f"sample {sample} holds NaN or infinity")

    def __len__(self) -> int:
        return len(self.y)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(int(n) for n in self.x.shape[1:])

    @property
    def names(self) -> NDArray[np.str_]:
        """(N,), the class name of every sample."""
        return np.array(self.classes, dtype=np.str_)[self.y]

    def counts(self) -> Int64:
        """(classes,), samples per class."""
        return np.bincount(self.y, minlength=len(self.classes)).astype(np.int64)

    def subset(self, indices: NDArray[np.integer]) -> Dataset:
        """The samples at ``indices``, in that order; all class names stay."""
        return self._taken(indices, self.y[indices], self.classes)

    def select(self, classes: Sequence[str | int]) -> Dataset:
        """Only these classes, given by name or index, in the order given; labels are renumbered."""
        names = tuple(self.resolve(name) for name in classes)
        if len(set(names)) != len(names):
            raise DataError(f"classes are selected twice: {', '.join(names)}")
        return self.restrict(names)

    def restrict(self, classes: Sequence[str]) -> Dataset:
        """Only these classes, by name, in the order given; it may lack some of them, but not all."""
        place = {name: number for number, name in enumerate(classes)}
        labels = np.array([place.get(name, -1) for name in self.classes], np.int64)[self.y]
        kept = labels >= 0
        if not kept.any():
            raise DataError(f"{self._named}no samples of {', '.join(classes)}")
        return self._taken(kept, labels[kept], tuple(classes))

    def resolve(self, name: str | int) -> str:
        """The class called ``name``; failing that, the class at that index."""
        text = str(name)
        if canonical(text) in self.classes:
            return canonical(text)
        if text.isdecimal() and int(text) < len(self.classes):
            return self.classes[int(text)]
        raise DataError(f"{self._named}no class {text!r}; there are {', '.join(self.classes)}")

    def tasks(self, count: int, order: int | Sequence[str | int] | None = None) -> list[Dataset]:
        """One data set per task, classes split evenly in order.

        ``order``: None by label, an integer shuffles with that seed, or all classes by name or index.
        Raises DataError for more tasks than classes and for a class without samples.
        """
        for name, samples in zip(self.classes, self.counts(), strict=True):
            if samples == 0:
                raise DataError(f"class {name!r} has no samples")
        chosen = order if order is None or isinstance(order, int) else [self.resolve(name) for name in order]
        return [self.select(names) for names in split_classes(self.classes, count, chosen)]

    def hold_out(self, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Split off ``share`` of every class, at random by ``seed``: (the rest, the hold-out).

        Every class keeps at least one sample in the rest, and has one held out where it has two or more. Of
        windows that overlap, each class has some held out that follow one another, and what shares rows with
        these is in neither part.
        """
        if not 0.0 < share < 1.0:
            raise DataError(f"hold-out must be between 0 and 1, got {share}")
        rng = np.random.default_rng(seed)
        cut = self.cut if self.cut is not None and self.cut.overlaps else None
        held, shared = np.zeros((2, len(self.y)), np.bool_)
        for label in range(len(self.classes)):
            members = np.flatnonzero(self.y == label)
            count = min(max(1, round(share * len(members))), len(members) - 1)
            if cut is None:
                held[rng.permutation(members)[:count]] = len(members) > 1
            elif count > 0:
                drawn, near = cut.draw(members, count, rng)
                held[drawn], shared[near] = True, True
        if not held.any():
            what = "every class has a single sample" if cut is None else "no class has windows that share no rows"
            raise DataError(f"{self._named}{what}: nothing can be held out")
        return self.subset(np.flatnonzero(~(held | shared))), self.subset(np.flatnonzero(held))

    def _taken(
        self, chosen: NDArray[np.integer] | NDArray[np.bool_], y: Int64, classes: tuple[str, ...]
    ) -> Dataset:
        """The chosen samples, with these labels."""
        cut = None if self.cut is None else self.cut.take(chosen)
        return Dataset(self.x[chosen], y, classes, self.source, cut)

    @property
    def _named(self) -> str:
        return f"{self.source}: " if self.source else ""
