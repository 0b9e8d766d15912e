"""A network from weights that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssd_edge.model import TopKNetwork
from ssd_edge_runtime.errors import DataError, OptionError

Matrix = NDArray[Any] | torch.Tensor | Sequence[Sequence[float]]
SPARSE_FROM = 0.5
"""A matrix with at least this share of zeros is taken as pruned: its zeros stay zero on the device."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A Top-K network that was trained elsewhere: numpy arrays, torch tensors or lists of numbers.

    >>> import numpy as np
    >>> Weights(hidden=[np.eye(30, 12)], classes=["cat", "dog"], k=5, readout=np.ones((2, 30))).k
    5
    """

    hidden: Sequence[Matrix]
    """One matrix (n, d) per layer; where at least half of one is zero, its zeros are taken as pruned."""
    classes: Sequence[str]
    """Class names in the order of logits."""
    k: int | Sequence[int]
    """How many neurons of each hidden layer may be active; a single one serves all layers."""
    input_shape: Sequence[int] | None = None
    """Shape of a sample; None is (d,). An encoder in front brings its own."""
    center: Matrix | None = None
    """Mean (d,) that is subtracted from a sample before it is normalized."""
    readout: Matrix | None = None
    """The trained matrix V (classes, n); None for an analytic readout, which is solved on data."""


def network_from_weights(given: Weights) -> TopKNetwork:
    """The network in inference mode; its readout is zero where none is given.

    Raises DataError for arrays that do not fit each other or hold NaN or infinity, OptionError for k.
    """
    OptionError.unless(len(given.hidden) > 0, "hidden must hold at least one matrix")
    weights = [as_array(matrix, f"hidden[{i}]", 2) for i, matrix in enumerate(given.hidden)]
    shape = (weights[0].shape[1],) if given.input_shape is None else tuple(int(n) for n in given.input_shape)
    width = int(np.prod(shape, dtype=np.int64))
    for i, (before, matrix) in enumerate(pairwise([None, *weights])):
        wanted = width if before is None else before.shape[0]
        assert matrix is not None
        if matrix.shape[1] != wanted:
            raise DataError(f"hidden[{i}] takes {matrix.shape[1]} inputs but gets {wanted}")
    mean = None if given.center is None else as_array(given.center, "center", 1)
    if mean is not None and mean.shape != (width,):
        raise DataError(f"center must have shape ({width},), got {mean.shape}")
    masks = [torch.from_numpy(m != 0.0) if np.mean(m == 0.0) >= SPARSE_FROM else None for m in weights]
    network = TopKNetwork(
        [torch.from_numpy(matrix) for matrix in weights],
        counts_of(given.k, len(weights)),
        shape,
        center=None if mean is None else torch.from_numpy(mean),
        masks=masks,
    )
    _add_readout(network, given)
    return network.eval()


def counts_of(k: int | Sequence[int], layers: int) -> list[int]:
    """k per layer; a single one serves all layers."""
    counts = [k] * layers if isinstance(k, int) else [int(n) for n in k]
    OptionError.unless(
        len(counts) == layers, f"one k per hidden layer: {layers} layers, {len(counts)} values of k"
    )
    return counts


def _add_readout(network: TopKNetwork, given: Weights) -> None:
    OptionError.unless(len(given.classes) > 0, "classes must name at least one class, in the order of logits")
    names = [str(name) for name in given.classes]
    if len(set(names)) != len(names):
        raise DataError(f"class names must differ, got {', '.join(names)}")
    network.add_classes(names)
    if given.readout is None:
        return
    matrix = as_array(given.readout, "readout", 2)
    if matrix.shape != network.readout_weight.shape:
        raise DataError(f"readout must have shape {tuple(network.readout_weight.shape)}, got {matrix.shape}")
    network.readout_weight.data = torch.from_numpy(matrix)


def as_array(values: Matrix, name: str, dimensions: int) -> NDArray[np.float32]:
    """A finite float32 array of its own. Raises DataError for another number of dimensions, NaN or infinity."""
    plain = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
    try:
        array = np.array(plain, np.float32, order="C")
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} is not a matrix of numbers ({error})") from error
    if array.ndim != dimensions or array.size == 0:
        raise DataError(f"{name} must have {dimensions} dimensions and not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds NaN or infinity")
    return array
