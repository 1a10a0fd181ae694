"""The Hessian Kᵀ diag(h) K of the objective, kept up to date as the curvature h changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .matrix import InfluenceMatrix, Vector

_BLOCK_ROWS = 2048


class Gram:
    """Dense Kᵀ diag(h) K that only revisits the rows whose h changed.

    Near the optimum few voxels cross their threshold from one Newton step to the next, and a change of one
    structure's weight touches that structure's voxels alone.

    Parameters
    ----------
    matrix : InfluenceMatrix
    """

    def __init__(self, matrix: InfluenceMatrix) -> None:
        self._matrix = matrix
        self._curvature = np.zeros(matrix.shape[0])
        self._gram = np.zeros((matrix.shape[1], matrix.shape[1]))

    def update(self, curvature: Vector) -> NDArray[np.float64]:
        """Return the Gram matrix for this curvature (voxels,), shape (bixels, bixels); do not write to it."""
        change = curvature - self._curvature
        if np.count_nonzero(change) > np.count_nonzero(curvature):
            self._gram[:] = 0.0
            change = curvature
        self._add(change)
        self._curvature = curvature.copy()
        return self._gram

    def _add(self, change: Vector) -> None:
        for sign in (1.0, -1.0):
            rows = np.flatnonzero(sign * change > 0)
            for start in range(0, rows.size, _BLOCK_ROWS):
                block = rows[start : start + _BLOCK_ROWS]
                scaled = self._matrix.scaled_rows(np.sqrt(np.abs(change[block])), block)
                # Single precision: the Hessian steers the steps; gradients, summed in double, judge the result.
                self._gram += sign * (scaled.T @ scaled)
