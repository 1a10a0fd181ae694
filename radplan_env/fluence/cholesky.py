"""Cholesky factors: computed on every core, and reused when a few variables change sides."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas, lapack

from radplan_env import threads
from radplan_env.compiled import compiled

from .pulls import Pulls

Vector = NDArray[np.float64]
Matrix = NDArray[Any]
Rows = NDArray[np.int64]

_PANEL = 384
_NONE = np.zeros(0, dtype=np.int64)


class NotPositiveDefiniteError(ArithmeticError):
    """The matrix has no Cholesky factor in its precision."""


class FreeBlock:
    """Solves Hp = r for the free variables of a quadratic program, the others being given.

    The first set of free variables is factorised. For another set, the variables that joined it or left it border
    the system (Nocedal & Wright, Numerical Optimization, 2nd ed., ch. 16.2, "Schur-complement method"), which costs
    two triangular solves a variable instead of a factorisation.

    Parameters
    ----------
    lower : ndarray of float32 or float64, shape (n, n)
        Symmetric matrix, of which the lower triangle is read.
    ridge : float
        Added to the diagonal.
    free : ndarray of bool, shape (n,)
    pulls : Pulls, optional
        On doses: what those exert that switch is a further variable, which borders the system like the others.

    Raises
    ------
    NotPositiveDefiniteError
    """

    def __init__(self, lower: Matrix, ridge: float, free: NDArray[np.bool_], pulls: Pulls | None = None) -> None:
        self._lower, self._ridge, self._pulls = lower, ridge, pulls
        self._base = np.flatnonzero(free)
        self._factor = np.zeros((self._base.size, self._base.size), dtype=lower.dtype)
        _gather(lower, self._base, lower.dtype.type(ridge), self._factor)
        factorise(self._factor)
        self._place = np.full(free.size, -1)
        self._place[self._base] = np.arange(self._base.size)
        self._borders: dict[int, int] = {}
        self._solved = np.zeros((self._base.size, 0), dtype=lower.dtype)
        self._products = np.zeros((0, 0))
        self._triangular: Any = lapack.get_lapack_funcs("trtrs", (lower,))

    def changes(self, free: NDArray[np.bool_]) -> Rows:
        """Return the variables that joined or left the factorised set."""
        return np.flatnonzero(free != (self._place >= 0))

    def solve(
        self, right: Vector, given: Vector, free: NDArray[np.bool_], switched: Rows = _NONE
    ) -> tuple[Vector, Vector]:
        """Return the free variables' values (n,), the others as given, and what switched pulls exert against H.

        Parameters
        ----------
        right : ndarray, shape (n,)
            r − H·given, where `given` is zero for the free variables.
        given : ndarray, shape (n,)
        free : ndarray of bool, shape (n,)
        switched : ndarray of int
            Pulls that act and are not in H, or are in H and do not act.

        Returns
        -------
        values : ndarray, shape (n,)
        against : ndarray, shape (n,)
            To be added to H·values.
        """
        changed = self.changes(free)
        base = self._forward(right[self._base].astype(self._factor.dtype))
        result, against = given.copy(), np.zeros(given.size)
        if changed.size or switched.size:
            borders = self._border(changed, switched)
            where = np.flatnonzero(free[changed])
            joined = changed[where]
            schur = -self._products[np.ix_(borders, borders)]
            schur[np.ix_(where, where)] += self._block(joined)
            # A variable that left stands at its given value, which `right` has accounted for: its step is zero here.
            outer = np.where(free[changed], right[changed], 0.0)
            if self._pulls is not None and switched.size:
                rows, last = self._pulls.rows(switched), changed.size + np.arange(switched.size)
                schur[last, last] += self._pulls.corner[switched]
                schur[np.ix_(last, where)] += rows[:, joined]
                schur[np.ix_(where, last)] += rows[:, joined].T
                outer = np.concatenate([outer, self._pulls.lacking[switched] - rows @ given])
            bordering = np.linalg.solve(schur, outer - (base @ self._solved)[borders])
            weights = np.zeros(self._solved.shape[1], dtype=base.dtype)
            weights[borders] = bordering
            base = base - self._solved @ weights
            result[joined] = bordering[where]
            if self._pulls is not None and switched.size:
                against = bordering[changed.size :] @ rows
        values = np.zeros(result.size)
        if self._base.size:
            values[self._base] = self._triangular(self._factor.T, base, lower=0, trans=0)[0]
        stayed = free & (self._place >= 0)
        result[stayed] = values[stayed]
        return result, against

    def _forward(self, right: Matrix) -> Matrix:
        if self._base.size == 0:  # LAPACK complains of it
            return right
        solution: Matrix = self._triangular(self._factor.T, right, lower=0, trans=1)[0]
        return solution

    def _block(self, some: Rows) -> Matrix:
        high, low = np.maximum.outer(some, some), np.minimum.outer(some, some)
        block: Matrix = self._lower[high, low]
        block[np.diag_indices_from(block)] += block.dtype.type(self._ridge)
        return block

    def _border(self, changed: Rows, switched: Rows) -> Rows:
        """Return where `_solved` holds L⁻¹ applied to the column of each changed variable, then of each switched pull.

        A variable that joined has that of H, one that left a unit vector.
        """
        size, known = self._place.size, self._solved.shape[1]
        wanted = np.concatenate([changed, size + switched]).tolist()
        new = np.array([index for index in wanted if index not in self._borders], dtype=np.int64)
        if new.size:
            columns = np.zeros((self._base.size, new.size), dtype=self._factor.dtype, order="F")
            for k, index in enumerate(new[new < size]):
                if self._place[index] >= 0:
                    columns[self._place[index], k] = 1.0
                else:
                    columns[:, k] = self._lower[np.maximum(self._base, index), np.minimum(self._base, index)]
            if self._pulls is not None and new[-1] >= size:
                columns[:, new >= size] = self._pulls.rows(new[new >= size] - size)[:, self._base].T
            self._borders.update(zip(new.tolist(), range(known, known + new.size), strict=True))
            self._solved = np.asfortranarray(np.hstack([self._solved, self._forward(columns)]))
            added = (self._solved.T @ self._solved[:, known:]).astype(float)
            products = np.empty((known + new.size, known + new.size))
            products[:known, :known] = self._products
            products[:, known:], products[known:, :known] = added, added[:known].T
            self._products = products
        return np.array([self._borders[index] for index in wanted], dtype=np.int64)


def factorise(matrix: Matrix) -> None:
    """Replace the lower triangle of a C-ordered matrix (n, n) by its Cholesky factor, panel by panel.

    Raises
    ------
    NotPositiveDefiniteError
    """
    size = len(matrix)
    potrf: Any = lapack.get_lapack_funcs("potrf", (matrix,))
    for start in range(0, size, _PANEL):
        stop = min(start + _PANEL, size)
        corner, failed = potrf(matrix[start:stop, start:stop].T, lower=0, clean=0)
        if failed:
            raise NotPositiveDefiniteError
        matrix[start:stop, start:stop] = corner.T
        tiles = [slice(at, min(at + _PANEL, size)) for at in range(stop, size, _PANEL)]
        threads.run(partial(_divide, matrix, slice(start, stop), corner, tiles), len(tiles))
        pairs = [(i, j) for i in range(len(tiles)) for j in range(i + 1)]
        threads.run(partial(_subtract, matrix, slice(start, stop), tiles, pairs), len(pairs))


def _divide(matrix: Matrix, panel: slice, corner: Matrix, tiles: list[slice], k: int) -> None:
    trsm = blas.get_blas_funcs("trsm", (matrix,))
    matrix[tiles[k], panel] = trsm(1.0, corner, matrix[tiles[k], panel].T, lower=0, trans_a=1).T


def _subtract(matrix: Matrix, panel: slice, tiles: list[slice], pairs: list[tuple[int, int]], k: int) -> None:
    i, j = (tiles[index] for index in pairs[k])
    matrix[i, j] -= matrix[i, panel] @ matrix[j, panel].T


@compiled
def _gather(lower, free, ridge, block):  # type: ignore[no-untyped-def] # pragma: no cover
    """Copy the lower triangle of H + ridge·I for the free variables, given in ascending order."""
    for i in range(free.size):
        for j in range(i + 1):
            block[i, j] = lower[free[i], free[j]]
        block[i, i] += ridge
