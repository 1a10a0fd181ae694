"""Convex quadratic programs with non-negative variables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Vector = NDArray[np.float64]

_FULL_EXCHANGES = 3  # Kim & Park (2011) let the number of infeasible variables fail to shrink this often


def minimise(hessian: NDArray[np.float64], linear: Vector, start: Vector, *, max_pivots: int = 60) -> Vector:
    """Return the x ≥ 0 that minimises ½ xᵀHx + cᵀx, by block principal pivoting.

    All variables of the wrong sign change sides at once; if that stalls, only the last one does, which makes the
    method finite for a positive definite H (Kim & Park, SIAM J. Sci. Comput. 33, 2011, doi 10.1137/110821172).

    Parameters
    ----------
    hessian : ndarray, shape (n, n)
        Symmetric, positive definite up to rounding: a ridge is added where it is not.
    linear : ndarray, shape (n,)
    start : ndarray, shape (n,)
        Guess whose positive entries are taken to be free.
    max_pivots : int
        Stop after this many exchanges with the best guess so far; the caller's line search judges it.

    Returns
    -------
    ndarray, shape (n,)
    """
    diagonal = np.diagonal(hessian)
    ridge = 1e-9 * max(float(diagonal.mean()), np.finfo(float).tiny)
    free = start * np.maximum(diagonal, ridge) > hessian @ start + linear
    fewest, patience = start.size + 1, _FULL_EXCHANGES
    x = start
    for _ in range(max_pivots):
        x = np.zeros_like(start)
        x[free], ridge = _solve(hessian, linear, free, ridge)
        gradient = hessian[:, free] @ x[free] + linear
        tolerance = 1e-10 * max(float(np.abs(x).max()), np.finfo(float).tiny)
        wrong = np.where(free, x < -tolerance, gradient < -tolerance * np.maximum(diagonal, ridge))
        infeasible = int(wrong.sum())
        if infeasible == 0:
            break
        if infeasible < fewest:
            fewest, patience = infeasible, _FULL_EXCHANGES
        elif patience > 0:
            patience -= 1
        else:
            last = np.flatnonzero(wrong)[-1]
            wrong = np.zeros_like(wrong)
            wrong[last] = True
        free ^= wrong
    return np.maximum(x, 0.0)


def _solve(hessian: NDArray[np.float64], linear: Vector, free: NDArray[np.bool_], ridge: float) -> tuple[Vector, float]:
    """Solve for the free variables; return them and the ridge that made the factorisation succeed."""
    block = hessian[np.ix_(free, free)]
    if block.size == 0:
        return np.zeros(0), ridge
    while True:
        try:
            ridged = block.copy()
            ridged[np.diag_indices_from(ridged)] += ridge
            factor = linalg.cho_factor(ridged, lower=True, overwrite_a=True, check_finite=False)
            return linalg.cho_solve(factor, -linear[free], check_finite=False), ridge
        except linalg.LinAlgError:
            ridge *= 10.0
