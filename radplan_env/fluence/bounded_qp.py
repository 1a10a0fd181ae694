"""Convex quadratic programs with lower bounds and pulls on doses, as each Newton step poses one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import blas

from .cholesky import FreeBlock, NotPositiveDefiniteError
from .pulls import Pulls

Vector = NDArray[np.float64]
Matrix = NDArray[Any]

_FULL_EXCHANGES = 3  # Kim & Park (2011) let the number of infeasible variables fail to shrink this often
_MOST_BORDERS = 0.08  # of all variables; beyond it, factorising again is faster
_ACCURACY = 8.0  # of signs, in units of the precision's rounding


def minimise(
    lower: Matrix,
    ridge: float,
    gradient: Vector,
    x: Vector,
    pulls: Pulls | None = None,
    *,
    free: NDArray[np.bool_] | None = None,
    negligible: float = 0.0,
    max_pivots: int = 40,
) -> Vector:
    """Return the step p with x + p ≥ 0 that minimises gᵀp + ½ pᵀ(H + ridge·I)p and what pulls add, by pivoting.

    All variables of the wrong sign change sides at once; if that stalls, only the last one does, which makes the
    method finite for a positive definite H (Kim & Park, SIAM J. Sci. Comput. 33, 2011, doi 10.1137/110821172).
    Solving for the step and not for x + p keeps the rounding relative to the step.

    Parameters
    ----------
    lower : ndarray of float32 or float64, shape (n, n)
        H, of which the lower triangle is read.
    ridge : float
        Positive.
    gradient, x : ndarray, shape (n,)
        x is not negative.
    pulls : Pulls, optional
        Of which H and the gradient hold those that are `held`.
    free : ndarray of bool, shape (n,), optional
        Variables that are likely to end above zero.
    max_pivots : int
        Stop after this many exchanges with the best guess so far; the caller's line search judges it.

    Returns
    -------
    ndarray, shape (n,)
    """
    diagonal = np.diagonal(lower) + ridge
    free = x * diagonal > gradient if free is None else free.copy()
    now = np.zeros(0, dtype=bool) if pulls is None else pulls.held
    act = now.copy()
    fewest, patience = x.size + act.size + 1, _FULL_EXCHANGES
    step, block = np.zeros_like(x), None
    for _ in range(max_pivots):
        given, switched = np.where(free, 0.0, -x), np.flatnonzero(act != now)
        right = -gradient - _times(lower, ridge, given)
        if block is None or block.changes(free).size > _MOST_BORDERS * x.size:
            block, ridge = _factorised(lower, ridge, free, pulls)
        step, against = block.solve(right, given, free, switched)
        slope = gradient + _times(lower, ridge, step) + against
        accuracy = _ACCURACY * float(np.finfo(lower.dtype).eps)
        tolerance = accuracy * float(np.abs(x + step).max(initial=np.finfo(float).tiny))
        wrong = np.where(free, x + step < -tolerance, slope < -tolerance * diagonal)
        if pulls is not None:
            left, in_gy = pulls.lacking - pulls.along(step), accuracy * pulls.scale_gy
            wrong = np.concatenate([wrong, np.where(act, left < -in_gy, left > in_gy)])
        infeasible = int(wrong.sum())
        if infeasible <= negligible * x.size:
            break
        if infeasible < fewest:
            fewest, patience = infeasible, _FULL_EXCHANGES
        elif patience > 0:
            patience -= 1
        else:
            last = np.flatnonzero(wrong)[-1]
            wrong = np.zeros_like(wrong)
            wrong[last] = True
        free ^= wrong[: x.size]
        act ^= wrong[x.size :]
    return np.maximum(step, -x)


def _times(lower: Matrix, ridge: float, vector: Vector) -> Vector:
    symv = blas.get_blas_funcs("symv", (lower,))
    product: Vector = symv(1.0, lower.T, vector.astype(lower.dtype), lower=0).astype(float)
    return product + ridge * vector


def _factorised(lower: Matrix, ridge: float, free: NDArray[np.bool_], pulls: Pulls | None) -> tuple[FreeBlock, float]:
    """Return the factorised block and the ridge that made the factorisation succeed."""
    while True:
        try:
            return FreeBlock(lower, ridge, free, pulls), ridge
        except NotPositiveDefiniteError:
            ridge *= 10.0
