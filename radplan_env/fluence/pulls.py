"""Bounds on doses as a Newton step sees them: pulls that set in where a dose crosses its threshold.

A term w · max(0, ±(t − d))² of an augmented Lagrangian is stiff, and which of them act changes within one step: a local
quadratic, which takes those that act now, is right for a small fraction of it. `bounded_qp` therefore lets pulls switch
as it lets bixels leave zero. With s = 1 for a bound from below and -1 for one from above, and k the row of K, one that
sets in adds 2w k kᵀ to the Hessian H and one that H holds and that ceases takes it off: as a further variable ν,

    Hp + s k ν = −g,   s kᵀp ∓ ν / 2w = s (t − d),

with − for one that sets in and + for one that ceases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .loss import Loss
from .matrix import DoseOperator, Rows, Vector

Matrix = NDArray[Any]

REACH = 0.1
"""Share of a threshold: doses farther beyond it do not meet it within a step."""


class Pulls:
    """The bounds that a step from a dose may meet.

    Parameters
    ----------
    matrix : DoseOperator
    bounds : Loss
        One-sided pieces.
    dose : ndarray, shape (voxels,)
    columns : ndarray of int
        Bixels that the step may change.
    dtype : type
        Of `rows`.
    held : ndarray of bool, shape (pieces,), optional
        Bounds whose pull is in H, among them those that act now; these alone by default.
    reach : float
        Bounds whose dose is farther beyond the threshold, relative to it, are left out.

    Attributes
    ----------
    lacking : ndarray, shape (pulls,)
        s (t − d): how much dose each lacks, or has to spare if negative.
    held : ndarray of bool, shape (pulls,)
        Whether H holds the pull.
    corner : ndarray, shape (pulls,)
        ∓1 / 2w, in Gy per unit of pull.
    slope : ndarray, shape (columns,)
        What H's pulls that do not act now would add to the gradient if they did.
    scale_gy : float
        Largest of the thresholds.
    """

    def __init__(
        self,
        matrix: DoseOperator,
        bounds: Loss,
        dose: Vector,
        columns: Rows,
        dtype: type[np.floating[Any]],
        *,
        held: NDArray[np.bool_] | None = None,
        reach: float = REACH,
    ) -> None:
        sign, lacking = lacking_dose(bounds, dose)
        held = lacking > 0 if held is None else held
        near = np.flatnonzero(held | (lacking > -reach * np.abs(bounds.threshold)))
        near = near[np.argsort(bounds.rows[near], kind="stable")]
        stiffness = 2 * (bounds.under + bounds.over)[near]
        self.lacking, self.held = lacking[near], held[near]
        self.corner = np.where(self.held, 1.0, -1.0) / stiffness
        idle = np.flatnonzero(self.held & (self.lacking < 0))
        against = -(stiffness * self.lacking * sign[near])[idle]
        self.slope: Vector = matrix.adjoint(against, bounds.rows[near[idle]])[columns]
        self.scale_gy = float(np.abs(bounds.threshold[near]).max(initial=0.0))
        self._voxels, self._sign = bounds.rows[near], sign[near]
        self._matrix, self._columns, self._dtype = matrix, columns, dtype
        self._place = np.full(near.size, -1)
        self._dense: Matrix = np.zeros((0, columns.size), dtype=dtype)

    def along(self, step: Vector) -> Vector:
        """Return s kᵀp of every pull for a step (columns,)."""
        whole = np.zeros(self._matrix.shape[1])
        whole[self._columns] = step
        product: Vector = self._sign * self._matrix.dose(whole, self._voxels)
        return product

    def rows(self, some: Rows) -> Matrix:
        """Return s k of some pulls, in ascending order, shape (some, columns)."""
        new = some[self._place[some] < 0]
        if new.size:
            self._place[new] = len(self._dense) + np.arange(new.size)
            added, _ = self._matrix.scaled_rows(self._sign[new], self._voxels[new], self._columns, self._dtype)
            self._dense = np.concatenate([self._dense, added])
        found: Matrix = self._dense[self._place[some]]
        return found


def lacking_dose(bounds: Loss, dose: Vector) -> tuple[Vector, Vector]:
    """Return s and s (t − d) of each piece: a bound acts where it is positive."""
    sign = np.where(bounds.under > 0, 1.0, -1.0)
    return sign, sign * (bounds.threshold - dose[bounds.rows])
