"""The Hessian Kᵀ diag(h) K + S of the objective, kept up to date as the curvature h and the free bixels change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
_ROUNDING = 1e-9  # of a row's curvature: no difference


@dataclass(frozen=True)
class Base:
    """Kᵀ diag(v) K over some rows.

    Attributes
    ----------
    rows : ndarray of int, shape (rows,)
    weights : ndarray, shape (rows,)
        v, positive.
    whole : ndarray, shape (bixels, bixels)
        In the matrix's `column_order`.
    """

    rows: Rows
    weights: Vector
    whole: Matrix

    def factor(self, curvature: Vector) -> float:
        """Return the largest c with c·v nowhere above a curvature (voxels,)."""
        return float((curvature[self.rows] / self.weights).min())


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
    bases : sequence of Base, optional
        Known parts, of rows that no two share: what rows have beyond a multiple of theirs is added up.

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
        bases: Sequence[Base] = (),
    ) -> None:
        self._matrix, self._constant, self._bases = matrix, constant, bases
        self._rank = np.empty(matrix.shape[1], dtype=np.int64)
        self._rank[matrix.column_order] = np.arange(matrix.shape[1])
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
        self.lower, rest = self._known(curvature, self.columns, self.columns)
        self._add(rest, np.flatnonzero(rest))

    def _known(self, curvature: Vector, rows: Rows, columns: Rows) -> tuple[Matrix, Vector]:
        """Return a block of S and the bases, and the curvature that these leave to be added."""
        if self._constant is None:
            block = np.zeros((rows.size, columns.size), dtype=self.dtype)
        else:
            block = self._constant[rows][:, columns].toarray().astype(self.dtype)
        rest = curvature.copy()
        for base in self._bases:
            if (factor := base.factor(curvature)) > 0:
                block += self.dtype(factor) * base.whole[np.ix_(self._rank[rows], self._rank[columns])]
                left = curvature[base.rows] - factor * base.weights
                rest[base.rows] = np.where(left > _ROUNDING * curvature[base.rows], left, 0.0)
        return block, rest

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
        products, curvature = self._known(curvature, columns, columns[new])
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
