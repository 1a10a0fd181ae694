"""The Hessian Kᵀ diag(h) K + S of the objective, kept up to date as the curvature h and the free bixels change."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env import threads

from .matrix import DoseOperator, Rows, Vector

Matrix = NDArray[Any]

_BLOCK_ROWS = 1024
_TILE = 512
_REVISITED = 0.7  # built anew when more than this share of the rows changed, or
_MISSING = 0.25  # this share of the needed columns is missing
_CANCELLED = 1e-3  # share of a column's diagonal that must remain when rows are taken away
_SPARE = 0.8  # columns are dropped when fewer than this share of them are likely to be needed


class Gram:
    """Dense Kᵀ diag(h) K + S for the columns that matter, revisiting only the rows whose h changed; S is constant.

    Near the optimum few voxels cross their threshold from one Newton step to the next, and more than half of the
    bixels carry no fluence. Single precision is twice as fast and mostly enough: the Hessian steers the steps, and
    gradients, summed in double, judge the result.

    Parameters
    ----------
    matrix : DoseOperator
    dtype : type
        numpy.float32 or numpy.float64.
    constant : scipy.sparse.csr_array, shape (bixels, bixels), optional
        S, symmetric.

    Attributes
    ----------
    columns : ndarray of int, shape (columns,)
        Bixels of the matrix's rows and columns.
    lower : ndarray of dtype, shape (columns, columns)
        Its lower triangle; the rest is undefined.
    """

    def __init__(
        self,
        matrix: DoseOperator,
        dtype: type[np.floating[Any]] = np.float32,
        constant: sparse.csr_array | None = None,
    ) -> None:
        self._matrix, self._constant = matrix, constant
        self.dtype = dtype
        self._curvature = np.zeros(matrix.shape[0])
        self.columns: Rows = np.zeros(0, dtype=np.int64)
        self.lower: Matrix = np.zeros((0, 0), dtype=dtype)

    def update(self, curvature: Vector, needed: NDArray[np.bool_], likely: NDArray[np.bool_]) -> None:
        """Bring `lower` to this curvature (voxels,), and see that `columns` holds every bixel needed (bixels,).

        When columns are added, those likely to be needed soon come along: many cost little more than one.
        """
        changed = np.flatnonzero(curvature != self._curvature)
        missing = needed.copy()
        missing[self.columns] = False
        if changed.size > _REVISITED * np.count_nonzero(curvature) or missing.sum() > _MISSING * needed.sum():
            self._build(curvature, needed)
        else:
            if (needed | likely).sum() < _SPARE * self.columns.size:
                self._keep(needed | likely)
            before = np.diagonal(self.lower).copy()
            change = curvature - self._curvature
            self._add(change, changed[change[changed] > 0])
            self._add(-change, changed[change[changed] < 0], sign=-1)
            if (np.diagonal(self.lower) < _CANCELLED * before).any():
                self._build(curvature, needed)  # what is left of a column has lost its digits
            missing = needed.copy()
            missing[self.columns] = False
            if missing.any():
                missing |= likely
                missing[self.columns] = False
                self._extend(curvature, missing)
        self._curvature = curvature

    def _build(self, curvature: Vector, needed: NDArray[np.bool_]) -> None:
        self.columns = self._in_order(needed)
        self.lower = self._constant_block(self.columns, self.columns)
        self._add(curvature, np.flatnonzero(curvature))

    def _constant_block(self, rows: Rows, columns: Rows) -> Matrix:
        if self._constant is None:
            return np.zeros((rows.size, columns.size), dtype=self.dtype)
        block: Matrix = self._constant[rows][:, columns].toarray().astype(self.dtype)
        return block

    def _in_order(self, bixels: NDArray[np.bool_]) -> Rows:
        order = self._matrix.column_order
        return order[bixels[order]]

    def _keep(self, needed: NDArray[np.bool_]) -> None:
        """Drop the columns that are not needed."""
        kept = np.flatnonzero(needed[self.columns])
        self.columns = self.columns[kept]
        self.lower = self.lower[np.ix_(kept, kept)]

    def _add(self, curvature: Vector, rows: Rows, sign: int = 1) -> None:
        for start in range(0, rows.size, _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            dense, used = self._matrix.scaled_rows(np.sqrt(curvature[block]), block, self.columns, self.dtype)
            tiles = [slice(at, min(at + _TILE, used.stop)) for at in range(used.start, used.stop, _TILE)]
            pairs = [(i, j) for i in range(len(tiles)) for j in range(i + 1)]
            threads.run(partial(self._add_tile, dense, tiles, pairs, sign), len(pairs))

    def _add_tile(self, dense: Matrix, tiles: list[slice], pairs: list[tuple[int, int]], sign: int, pair: int) -> None:
        i, j = (tiles[k] for k in pairs[pair])
        product = dense[:, i].T @ dense[:, j]
        if sign > 0:
            self.lower[i, j] += product
        else:
            self.lower[i, j] -= product

    def _extend(self, curvature: Vector, missing: NDArray[np.bool_]) -> None:
        """Add columns, in their place in the order."""
        wanted = missing.copy()
        wanted[self.columns] = True
        columns = self._in_order(wanted)
        old, new = np.flatnonzero(~missing[columns]), np.flatnonzero(missing[columns])
        products = self._constant_block(columns, columns[new])
        rows = np.flatnonzero(curvature)
        for start in range(0, rows.size, _BLOCK_ROWS):
            block = rows[start : start + _BLOCK_ROWS]
            dense, used = self._matrix.scaled_rows(np.sqrt(curvature[block]), block, columns, self.dtype)
            added = dense[:, new]
            tiles = [slice(at, min(at + _TILE, used.stop)) for at in range(used.start, used.stop, _TILE)]
            threads.run(partial(_add_products, products, dense, added, tiles), len(tiles))
        lower = np.empty((columns.size, columns.size), dtype=self.dtype)
        lower[np.ix_(old, old)] = self.lower
        lower[:, new], lower[new, :] = products, products.T
        self.columns, self.lower = columns, lower


def _add_products(products: Matrix, dense: Matrix, added: Matrix, tiles: list[slice], k: int) -> None:
    products[tiles[k]] += dense[:, tiles[k]].T @ added
