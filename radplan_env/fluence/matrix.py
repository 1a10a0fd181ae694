"""Products with the dose-influence matrix K, on all of its rows or on those that matter.

One-sided terms of Eq. 1 touch only the voxels beyond their threshold, so most Hessian products need only a
small part of K. SciPy multiplies whole matrices on one core; these kernels take a list of rows, run on every
core numba is given, and accumulate float32 entries in float64.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]

# Adjoint products sum over rows in this fixed number of slices, whatever the number of threads, so that the
# rounding, and with it every plan, is the same on every machine.
_SLICES = 16


def _forward(indptr, indices, data, rows, x, out):  # type: ignore[no-untyped-def] # pragma: no cover
    for k in numba.prange(rows.size):
        row = rows[k]
        total = 0.0
        for entry in range(indptr[row], indptr[row + 1]):
            total += data[entry] * x[indices[entry]]
        out[k] = total


def _adjoint(indptr, indices, data, rows, values, partial, power):  # type: ignore[no-untyped-def] # pragma: no cover
    slices = partial.shape[0]
    for s in numba.prange(slices):
        start = rows.size * s // slices
        stop = rows.size * (s + 1) // slices
        for k in range(start, stop):
            value = values[k]
            if value == 0.0:
                continue
            row = rows[k]
            if power == 1:
                for entry in range(indptr[row], indptr[row + 1]):
                    partial[s, indices[entry]] += data[entry] * value
            else:
                for entry in range(indptr[row], indptr[row + 1]):
                    partial[s, indices[entry]] += data[entry] * data[entry] * value


def _scaled_dense(indptr, indices, data, rows, scale, out):  # type: ignore[no-untyped-def] # pragma: no cover
    for k in numba.prange(rows.size):
        out[k, :] = 0.0
        row = rows[k]
        for entry in range(indptr[row], indptr[row + 1]):
            out[k, indices[entry]] = data[entry] * scale[k]


def _compiled(kernel: Any) -> tuple[Any, Any]:
    """Compile for one thread and for all: starting threads costs more than a small product."""
    return numba.njit(cache=True)(kernel), numba.njit(parallel=True, cache=True)(kernel)


_KERNELS = {kernel.__name__: _compiled(kernel) for kernel in (_forward, _adjoint, _scaled_dense)}
_THREADS_PAY_FROM = 100_000  # non-zeros


class InfluenceMatrix:
    """K with fast products on subsets of its rows.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (voxels, bixels)
        Dose per unit fluence, in Gy, not negative.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        self._indptr = np.ascontiguousarray(matrix.indptr, dtype=np.int64)
        self._indices = np.ascontiguousarray(matrix.indices, dtype=np.int32)
        self._data = np.ascontiguousarray(matrix.data, dtype=np.float32)
        self.shape: tuple[int, int] = matrix.shape
        threaded = self._data.size >= _THREADS_PAY_FROM
        self._kernels = {name: versions[threaded] for name, versions in _KERNELS.items()}
        self._every_row = np.arange(self.shape[0])

    def dose(self, fluence: Vector, rows: Rows | None = None) -> Vector:
        """Return K x, in Gy, for the given rows (all of them if None)."""
        rows = self._every_row if rows is None else rows
        out = np.empty(rows.size)
        self._kernels["_forward"](self._indptr, self._indices, self._data, rows, fluence, out)
        return out

    def adjoint(self, values: Vector, rows: Rows) -> Vector:
        """Return Kᵀ v, where v is zero but for `values` on `rows`."""
        return self._sum_over_rows(values, rows, power=1)

    def squared_adjoint(self, values: Vector, rows: Rows) -> Vector:
        """Return (K∘K)ᵀ v: the diagonal of Kᵀ diag(v) K."""
        return self._sum_over_rows(values, rows, power=2)

    def scaled_rows(self, scale: Vector, rows: Rows) -> NDArray[np.float32]:
        """Return diag(scale) K for the given rows as a dense array, shape (rows, bixels)."""
        out = np.empty((rows.size, self.shape[1]), dtype=np.float32)
        self._kernels["_scaled_dense"](self._indptr, self._indices, self._data, rows, scale.astype(np.float32), out)
        return out

    def _sum_over_rows(self, values: Vector, rows: Rows, power: int) -> Vector:
        partial = np.zeros((_SLICES, self.shape[1]))
        self._kernels["_adjoint"](self._indptr, self._indices, self._data, rows, values, partial, power)
        total: Vector = partial.sum(axis=0)
        return total
