"""A network from weights that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
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


def network_from_weights(
    hidden: Sequence[Matrix],
    readout: Matrix | None,
    classes: Sequence[str] | None,
    k: int | Sequence[int] | None,
    input_shape: Sequence[int] | None,
    center: Matrix | None,
) -> TopKNetwork:
    """``hidden`` (n, d) each, ``readout`` (classes, n) or None for zeros, ``center`` (d,) or None.

    Raises DataError for arrays that do not fit each other or hold NaN or infinity, OptionError for k.
    """
    OptionError.unless(len(hidden) > 0, "hidden must hold at least one matrix")
    weights = [as_array(matrix, f"hidden[{i}]", 2) for i, matrix in enumerate(hidden)]
    shape = (weights[0].shape[1],) if input_shape is None else tuple(int(n) for n in input_shape)
    width = int(np.prod(shape, dtype=np.int64))
    for i, (before, matrix) in enumerate(pairwise([None, *weights])):
        wanted = width if before is None else before.shape[0]
        assert matrix is not None
        if matrix.shape[1] != wanted:
            raise DataError(f"hidden[{i}] takes {matrix.shape[1]} inputs but gets {wanted}")
    mean = None if center is None else as_array(center, "center", 1)
    if mean is not None and mean.shape != (width,):
        raise DataError(f"center must have shape ({width},), got {mean.shape}")
    masks = [torch.from_numpy(m != 0.0) if np.mean(m == 0.0) >= SPARSE_FROM else None for m in weights]
    network = TopKNetwork(
        [torch.from_numpy(matrix) for matrix in weights],
        counts_of(k, len(weights)),
        shape,
        center=None if mean is None else torch.from_numpy(mean),
        masks=masks,
    )
    _add_readout(network, readout, classes)
    return network.eval()


def counts_of(k: int | Sequence[int] | None, layers: int) -> list[int]:
    """k per layer; a single one serves all layers."""
    OptionError.unless(k is not None, "k is missing: how many neurons of each hidden layer may be active")
    assert k is not None
    counts = [k] * layers if isinstance(k, int) else [int(n) for n in k]
    OptionError.unless(
        len(counts) == layers, f"one k per hidden layer: {layers} layers, {len(counts)} values of k"
    )
    return counts


def _add_readout(network: TopKNetwork, readout: Matrix | None, classes: Sequence[str] | None) -> None:
    OptionError.unless(
        classes is not None and len(classes) > 0, "classes is missing: the class names in the order of logits"
    )
    assert classes is not None
    names = [str(name) for name in classes]
    if len(set(names)) != len(names):
        raise DataError(f"class names must differ, got {', '.join(names)}")
    network.add_classes(names)
    if readout is None:
        return
    matrix = as_array(readout, "readout", 2)
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
