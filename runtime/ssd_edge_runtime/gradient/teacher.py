"""The teacher of SSD on the device: the model at the last task boundary, held as what has changed since."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge_runtime.arrays import Float32, Int32
from ssd_edge_runtime.network.counting import Rows
from ssd_edge_runtime.network.forward import hidden
from ssd_edge_runtime.options import DistillOptions
from ssd_edge_runtime.sparse.codes import Codes
from ssd_edge_runtime.sparse.csr import CSRMatrix
from ssd_edge_runtime.sparse.row_index import RowIndex
from ssd_edge_runtime.state import Layer, ModelState, StoredTeacher


def most_frequent(layer: Layer, options: DistillOptions) -> Int32:
    """The ``n_distill`` (default k) most frequent neurons, ties to the lower index, ascending int32."""
    count = layer.task_count if options.frequency == "task" else layer.activation_count
    size = min(options.n_distill or layer.k, len(count))
    return np.sort(np.argsort(-count, kind="stable")[:size]).astype(np.int32)


def places(selected: Int32, layer: Layer) -> Int32:
    """Where each neuron of ``layer`` stands among the ``selected``, or -1; int32 (n,)."""
    place = np.full(layer.weights.shape[0], -1, np.int32)
    place[selected] = np.arange(len(selected), dtype=np.int32)
    return place


class Growing:
    """An array that grows at its end and can be cut back; appending costs what is appended."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self._data = np.empty((0, *shape), dtype)
        self.size = 0

    @property
    def view(self) -> NDArray[Any]:
        """What has been appended so far."""
        return self._data[: self.size]

    def extend(self, values: NDArray[Any]) -> None:
        """Append ``values`` along the first axis."""
        end = self.size + len(values)
        if end > len(self._data):
            grown = np.empty((max(end, 2 * len(self._data)), *self._data.shape[1:]), self._data.dtype)
            grown[: self.size] = self.view
            self._data = grown
        self._data[self.size : end] = values
        self.size = end


class OldRows:
    """Rows of W as they were at the boundary, kept from the moment they first change."""

    def __init__(self, neurons: int, width: int) -> None:
        self.marked = np.zeros(neurons, bool)
        self._width = width
        self._rows = Growing((), np.int32)
        self._ends = Growing((), np.int32)
        self._ends.extend(np.zeros(1, np.int32))
        self._columns = Growing((), np.int32)
        self._values = Growing((), np.float32)

    def keep(self, matrix: CSRMatrix, index: RowIndex, rows: Rows) -> None:
        """Copy those of ``rows`` that are not kept yet out of ``matrix``, before they change."""
        fresh = rows[~self.marked[rows]]
        if len(fresh):
            self.append(fresh, index.extract(matrix, fresh))

    def append(self, rows: NDArray[np.integer], matrix: CSRMatrix) -> None:
        """Keep ``matrix`` as the old rows ``rows``."""
        # Broken off anywhere, cut() undoes it: rows are noted before they are marked.
        self._rows.extend(rows)
        self.marked[rows] = True
        self._ends.extend(matrix.indptr[1:] + self._ends.view[-1])
        self._columns.extend(matrix.columns)
        self._values.extend(matrix.values)

    @property
    def rows(self) -> Int32:
        """The kept rows in the order in which they first changed."""
        return self._rows.view

    def matrix(self) -> CSRMatrix:
        """The kept rows as a matrix, in the same order."""
        shape = (self._rows.size, self._width)
        return CSRMatrix(self._ends.view, self._columns.view, self._values.view, shape)

    def cut(self, count: int) -> None:
        """Forget all but the first ``count`` rows kept."""
        self.marked[self.rows[count:]] = False
        entries = int(self._ends.view[count])
        self._rows.size, self._ends.size = count, count + 1
        self._columns.size = self._values.size = entries


class Teacher:
    """A teacher in use: appended to as the student changes, stored as :class:`StoredTeacher` for the file."""

    def __init__(self, state: ModelState, classes: int, selected: list[Int32]) -> None:
        self.classes = classes
        self.selected = selected
        self.place = [places(each, layer) for each, layer in zip(selected, state.layers, strict=True)]
        self._old = [OldRows(*layer.weights.shape) for layer in state.layers]
        self._slot = np.full(state.layers[-1].weights.shape[0], -1, np.int32)
        self._columns = Growing((), np.int32)
        self._readout = Growing((classes,), np.float32)

    @classmethod
    def at_boundary(cls, state: ModelState, options: DistillOptions) -> Teacher:
        """The teacher equal to ``state`` as it is now."""
        return cls(state, len(state.classes), [most_frequent(layer, options) for layer in state.layers])

    @classmethod
    def restore(cls, state: ModelState, stored: StoredTeacher, indexes: list[RowIndex]) -> Teacher:
        """The teacher that a file holds, for the ``state`` of the same file."""
        teacher = cls(state, stored.classes, stored.selected)
        for old, rows, values, layer, index in zip(
            teacher._old, stored.rows, stored.values, state.layers, indexes, strict=True
        ):
            columns = index.take(layer.weights.columns, rows)
            shape = (len(rows), layer.weights.shape[1])
            old.append(rows, CSRMatrix(index.pointers(rows), columns, values, shape))
        teacher._keep_columns(stored.readout_columns, np.ascontiguousarray(stored.readout_values.T))
        return teacher

    def store(self, indexes: list[RowIndex]) -> StoredTeacher:
        """The same teacher as plain arrays, rows and columns ascending."""
        rows, values = [], []
        for old in self._old:
            order = np.argsort(old.rows)
            matrix = old.matrix()
            rows.append(old.rows[order])
            values.append(RowIndex(matrix).take(matrix.values, order))
        order = np.argsort(self._columns.view)
        readout = np.ascontiguousarray(self._readout.view[order].T)
        return StoredTeacher(self.classes, self.selected, rows, values, self._columns.view[order], readout)

    def keep(self, state: ModelState, indexes: list[RowIndex], rows: list[Rows]) -> None:
        """Copy what is about to change: ``rows`` of each W, and the columns of V of the last layer's ``rows``."""
        for old, layer, index, changed in zip(self._old, state.layers, indexes, rows, strict=True):
            old.keep(layer.weights, index, changed)
        fresh = rows[-1][self._slot[rows[-1]] < 0]
        if len(fresh):
            self._keep_columns(fresh, state.readout.weights.T[fresh, : self.classes])

    def _keep_columns(self, columns: NDArray[np.integer], values: Float32) -> None:
        self._columns.extend(columns)
        self._slot[columns] = np.arange(self._columns.size - len(columns), self._columns.size)
        self._readout.extend(values)

    def size(self) -> tuple[int, ...]:
        """How much is kept; :meth:`cut` goes back to it."""
        return (*(old.rows.size for old in self._old), self._columns.size)

    def cut(self, size: tuple[int, ...]) -> None:
        """Forget what was kept since :meth:`size` said ``size``."""
        for old, count in zip(self._old, size[:-1], strict=True):
            old.cut(count)
        self._slot[self._columns.view[size[-1] :]] = -1
        self._columns.size = self._readout.size = size[-1]

    def hidden(self, layer: int, h: Float32, u: Float32, scale: Float32 | None) -> Float32:
        """The teacher's ``h`` (n, N) on input ``u`` (d, N), from the student's ``h`` and ``scale`` on the same."""
        old = self._old[layer]
        if not old.rows.size:
            return h
        h = h.copy()
        own = hidden(old.matrix(), u)
        if scale is not None:
            own *= scale[old.rows] if len(scale) > 1 else scale
        h[old.rows] = own
        return h

    def read_out(self, codes: Codes, transposed: Float32) -> Float32:
        """The teacher's logits (N, teacher classes) for its ``codes``; ``transposed`` is the student's V^T."""
        pairs = len(codes.neurons)
        weights = transposed.take(codes.neurons, axis=0)[:, : self.classes]
        slots = self._slot.take(codes.neurons)
        kept = (slots >= 0).nonzero()[0]
        weights[kept] = self._readout.view.take(slots.take(kept), axis=0)
        return codes.among(np.arange(pairs, dtype=np.int32), pairs).read_out(np.ascontiguousarray(weights))

    def without_class(self, state: ModelState, index: int, indexes: list[RowIndex]) -> Teacher:
        """The same teacher after the student's class ``index`` is gone; ``state`` no longer has it."""
        stored = self.store(indexes)
        if index < stored.classes:
            stored.classes -= 1
            stored.readout_values = np.delete(stored.readout_values, index, axis=0)
        return Teacher.restore(state, stored, indexes)
