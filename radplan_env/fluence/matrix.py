"""Products with the dose-influence matrix K, on all of its rows or on those that matter.

One-sided terms of Eq. 1 touch only the voxels beyond their threshold, so most products need only a small part of K.
SciPy multiplies whole matrices on one core; these kernels take a list of rows, run on every core, and accumulate
float32 entries in float64. What they read is the limit of their speed: column indices are 16 bits wide where they fit,
and all indices are unsigned, so that no negative ones, counted from the end, need to be looked for.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env import threads
from radplan_env.compiled import compiled

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

_THREADS_PAY_FROM = 200_000  # non-zeros; handing out work costs some 50 µs


@compiled
def _forward(indptr, indices, data, rows, x, out, start, stop):  # type: ignore[no-untyped-def] # pragma: no cover
    """Four sums a row: one alone waits for each of its additions."""
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for k in range(start, stop):
        entry, last = indptr[rows[k]], indptr[rows[k] + 1]
        whole = last - (last - entry) % four
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        while entry < whole:
            a += data[entry] * x[indices[entry]]
            b += data[entry + one] * x[indices[entry + one]]
            c += data[entry + two] * x[indices[entry + two]]
            d += data[entry + three] * x[indices[entry + three]]
            entry += four
        while entry < last:
            a += data[entry] * x[indices[entry]]
            entry += one
        out[k] = (a + b) + (c + d)


@compiled
def _adjoint(indptr, indices, data, rows, values, out, start, stop):  # type: ignore[no-untyped-def] # pragma: no cover
    for k in range(start, stop):
        value = values[k]
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            out[indices[entry]] += data[entry] * value


@compiled
def _adjoint_and_diagonal(  # type: ignore[no-untyped-def]
    indptr, indices, data, rows, slope, curvature, gradient, diagonal, start, stop
):  # pragma: no cover
    for k in range(start, stop):
        s, c = slope[k], curvature[k]
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            column, value = indices[entry], np.float64(data[entry])
            gradient[column] += value * s
            diagonal[column] += value * value * c


@compiled
def _scaled_dense(  # type: ignore[no-untyped-def]
    indptr, indices, data, rows, scale, position, out, extent, start, stop
):  # pragma: no cover
    for k in range(start, stop):
        out[k, :] = 0.0
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            place = position[indices[entry]]
            if place >= 0:
                out[k, place] = data[entry] * scale[k]
                extent[0] = min(extent[0], place)
                extent[1] = max(extent[1], place + 1)


@compiled
def _mean_rows(indptr, indices, data, out, total):  # type: ignore[no-untyped-def] # pragma: no cover
    for row in range(indptr.size - 1):
        for entry in range(indptr[row], indptr[row + 1]):
            out[indices[entry]] += data[entry] * row
            total[indices[entry]] += data[entry]


@compiled
def _grouped(  # type: ignore[no-untyped-def]
    indptr, indices, data, rows, group, out_indptr, out_indices, out_data
):  # pragma: no cover
    """Sum the columns of each group where their entries lie side by side; return the number of entries."""
    filled = 0
    for k in range(rows.size):
        last = -1
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            column = group[indices[entry]]
            if column != last:
                last = column
                out_indices[filled] = column
                out_data[filled] = 0.0
                filled += 1
            out_data[filled - 1] += data[entry]
        out_indptr[k + 1] = filled
    return filled


class DoseOperator(Protocol):
    """What a minimiser asks of a matrix: see `InfluenceMatrix`."""

    @property
    def shape(self) -> tuple[int, int]: ...

    @property
    def column_order(self) -> Rows: ...

    def dose(self, fluence: Vector, rows: Rows | None = None) -> Vector: ...

    def adjoint(self, values: Vector, rows: Rows) -> Vector: ...

    def adjoint_and_diagonal(self, slope: Vector, curvature: Vector, rows: Rows) -> tuple[Vector, Vector]: ...

    def scaled_rows(
        self, scale: Vector, rows: Rows, columns: Rows, dtype: type[np.floating[Any]]
    ) -> tuple[NDArray[Any], slice]: ...


class InfluenceMatrix:
    """K with fast products on subsets of its rows.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (voxels, bixels)
        Dose per unit fluence, in Gy, not negative.

    Attributes
    ----------
    shape : tuple of int
        (voxels, bixels).
    entries : int
        Stored non-zeros.
    nbytes : int
        Memory the matrix takes.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        narrow = matrix.shape[1] <= np.iinfo(np.uint16).max + 1
        self._indptr = np.ascontiguousarray(matrix.indptr, dtype=np.uint64)
        self._indices = np.ascontiguousarray(matrix.indices, dtype=np.uint16 if narrow else np.uint32)
        self._data = np.ascontiguousarray(matrix.data, dtype=np.float32)
        self._csr = (self._indptr, self._indices, self._data)
        self._every_row = np.arange(matrix.shape[0])
        self.shape: tuple[int, int] = matrix.shape
        self.entries = int(self._data.size)
        self.nbytes = sum(array.nbytes for array in self._csr)

    def coarsened(self, rows: Rows, group: Rows) -> InfluenceMatrix:
        """Return the given rows, with the columns of each group added up; `group` (bixels,) counts from 0."""
        shape = (rows.size, int(group.max(initial=-1)) + 1)
        indptr = np.zeros(rows.size + 1, dtype=np.int64)
        indices = np.empty(self.entries_in(rows), dtype=np.int32)
        data = np.empty(indices.size, dtype=np.float32)
        filled = _grouped(*self._csr, rows, group, indptr, indices, data)
        coarse = sparse.csr_array((data[:filled], indices[:filled], indptr), shape=shape)
        coarse.sum_duplicates()  # a group's entries may lie apart
        return InfluenceMatrix(coarse)

    def entries_in(self, rows: Rows) -> int:
        """Return how many non-zeros the rows hold."""
        return int((self._indptr[rows + 1] - self._indptr[rows]).sum())

    def dose(self, fluence: Vector, rows: Rows | None = None) -> Vector:
        """Return K x, in Gy, for the given rows (all of them if None)."""
        rows = self._every_row if rows is None else rows
        out = np.empty(rows.size)
        if not self._threads_pay(rows):
            _forward(*self._csr, rows, fluence, out, 0, rows.size)
        else:
            threads.run_in_slices(lambda _, *part: _forward(*self._csr, rows, fluence, out, *part), rows.size)
        return out

    def adjoint(self, values: Vector, rows: Rows) -> Vector:
        """Return Kᵀ v, where v is zero but for `values` on `rows`."""
        partial = np.zeros((threads.SLICES if self._threads_pay(rows) else 1, self.shape[1]))
        if len(partial) == 1:
            _adjoint(*self._csr, rows, values, partial[0], 0, rows.size)
        else:
            threads.run_in_slices(lambda s, *part: _adjoint(*self._csr, rows, values, partial[s], *part), rows.size)
        total: Vector = partial.sum(axis=0)
        return total

    def adjoint_and_diagonal(self, slope: Vector, curvature: Vector, rows: Rows) -> tuple[Vector, Vector]:
        """Return Kᵀ s and the diagonal of Kᵀ diag(c) K, where s and c are zero but on `rows`."""
        parts = threads.SLICES if self._threads_pay(rows) else 1
        partial = np.zeros((2, parts, self.shape[1]))

        def task(s: int, start: int, stop: int) -> None:
            _adjoint_and_diagonal(*self._csr, rows, slope, curvature, partial[0, s], partial[1, s], start, stop)

        if parts == 1:
            task(0, 0, rows.size)
        else:
            threads.run_in_slices(task, rows.size)
        gradient, diagonal = partial.sum(axis=1)
        return gradient, diagonal

    @cached_property
    def column_order(self) -> Rows:
        """Columns sorted by the mean row they reach.

        Rows run from slice to slice, and a bixel of a coplanar beam reaches a few centimetres to either side of its
        own: in this order, neighbouring rows share their columns.
        """
        weighted, total = np.zeros((2, self.shape[1]))
        _mean_rows(*self._csr, weighted, total)
        return np.argsort(weighted / np.maximum(total, np.finfo(float).tiny), kind="stable")

    def scaled_rows(
        self, scale: Vector, rows: Rows, columns: Rows, dtype: type[np.floating[Any]]
    ) -> tuple[NDArray[Any], slice]:
        """Return diag(scale) K for the given rows and columns as a dense array (rows, columns), and the columns used.

        All the array's entries outside the slice of columns are zero.
        """
        out = np.empty((rows.size, columns.size), dtype=dtype)
        position = np.full(self.shape[1], -1, dtype=np.int32)
        position[columns] = np.arange(columns.size, dtype=np.int32)
        scale = scale.astype(dtype)
        extents = np.tile([columns.size, 0], (threads.SLICES, 1))

        def task(s: int, start: int, stop: int) -> None:
            _scaled_dense(*self._csr, rows, scale, position, out, extents[s], start, stop)

        if not self._threads_pay(rows):
            task(0, 0, rows.size)
        else:
            threads.run_in_slices(task, rows.size)
        return out, slice(int(extents[:, 0].min()), int(extents[:, 1].max()))

    def _threads_pay(self, rows: Rows) -> bool:
        """Depends on the problem alone: rounding must not depend on the machine."""
        return self.entries >= _THREADS_PAY_FROM and self.entries_in(rows) >= _THREADS_PAY_FROM


class MatrixWithRows:
    """K with a few dense rows below it.

    Parameters
    ----------
    matrix : InfluenceMatrix
        K, with n rows.
    extra : ndarray, shape (rows, bixels)
        Rows n, n + 1, …

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, matrix: InfluenceMatrix, extra: NDArray[np.float64]) -> None:
        self._above, self._extra = matrix, extra
        self.shape = (matrix.shape[0] + len(extra), matrix.shape[1])
        self.column_order = matrix.column_order
        self._every_row = np.arange(self.shape[0])

    def dose(self, fluence: Vector, rows: Rows | None = None) -> Vector:
        """As `InfluenceMatrix.dose`, for rows in ascending order, as in all that follows."""
        above, below = self._split(self._every_row if rows is None else rows)
        return np.concatenate([self._above.dose(fluence, above), self._extra[below] @ fluence])

    def adjoint(self, values: Vector, rows: Rows) -> Vector:
        """As `InfluenceMatrix.adjoint`."""
        above, below = self._split(rows)
        return self._above.adjoint(values[: above.size], above) + values[above.size :] @ self._extra[below]

    def adjoint_and_diagonal(self, slope: Vector, curvature: Vector, rows: Rows) -> tuple[Vector, Vector]:
        """As `InfluenceMatrix.adjoint_and_diagonal`."""
        above, below = self._split(rows)
        cut, extra = above.size, self._extra[below]
        gradient, diagonal = self._above.adjoint_and_diagonal(slope[:cut], curvature[:cut], above)
        return gradient + slope[cut:] @ extra, diagonal + curvature[cut:] @ extra**2

    def scaled_rows(
        self, scale: Vector, rows: Rows, columns: Rows, dtype: type[np.floating[Any]]
    ) -> tuple[NDArray[Any], slice]:
        """As `InfluenceMatrix.scaled_rows`."""
        above, below = self._split(rows)
        dense, used = self._above.scaled_rows(scale[: above.size], above, columns, dtype)
        if below.size == 0:
            return dense, used
        extra = scale[above.size :, None] * self._extra[np.ix_(below, columns)]
        return np.concatenate([dense, extra.astype(dtype)]), slice(0, columns.size)

    def _split(self, rows: Rows) -> tuple[Rows, Rows]:
        """The rows that are K's, and the others, counted from 0."""
        cut = int(np.searchsorted(rows, self._above.shape[0]))
        return rows[:cut], rows[cut:] - self._above.shape[0]
