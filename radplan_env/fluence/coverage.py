"""The constraint of Eq. 1 on a target's coverage: D95 = Rx, or D95 ≥ Rx for targets beside the primary.

D95 of n voxels is an order statistic: it is at least Rx when all but the coldest 5 % of the voxels are. For a given
set of exempt cold voxels that is one linear bound per voxel, which an augmented Lagrangian turns into quadratic
terms (Nocedal & Wright, Numerical Optimization, 2nd ed., ch. 17.3); each update may choose the exempt voxels
anew, as the projection onto {d : D95(d) ≥ Rx} does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .loss import Loss

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Coverage:
    """D_percent of a target is at least a dose, or equals it.

    Parameters
    ----------
    structure : str
    rows : ndarray of int
        The target's voxels (rows of K).
    dose_gy : float
        The prescription.
    exactly : bool
        True asks for equality (the primary target), False for at least.
    percent : float
        95 in Eq. 1.
    """

    structure: str
    rows: Rows
    dose_gy: float
    exactly: bool
    percent: float = 95.0

    def achieved_gy(self, dose: Vector) -> float:
        """Return the target's D_percent, in Gy, from the dose of every voxel."""
        return float(np.percentile(dose[self.rows], 100.0 - self.percent))

    def error(self, dose: Vector) -> float:
        """Return how far the constraint is from being met, as a fraction of the prescription; 0 when it is."""
        short = 1.0 - self.achieved_gy(dose) / self.dose_gy
        return abs(short) if self.exactly else max(short, 0.0)


class Multipliers:
    """One coverage constraint's bounds and Lagrange multipliers, voxel by voxel.

    Parameters
    ----------
    coverage : Coverage
    penalty : float
        Curvature of the augmented Lagrangian's quadratic term, per voxel.
    """

    def __init__(self, coverage: Coverage, penalty: float) -> None:
        self.coverage = coverage
        self.penalty = penalty
        count = coverage.rows.size
        self.lower = np.zeros(count)
        self.upper = np.zeros(count)
        # np.percentile interpolates between sorted[below] and sorted[below + 1].
        self._below = int(np.floor((1.0 - coverage.percent / 100.0) * (count - 1)))
        self._raised = np.zeros(count, dtype=bool)
        self._lowered = np.zeros(count, dtype=bool)

    def choose_voxels(self, dose: Vector) -> None:
        """Choose which voxels must reach the prescription and, for equality, which must not exceed it."""
        target = dose[self.coverage.rows]
        order = np.argsort(target - (self.lower - self.upper) / self.penalty, kind="stable")
        self._raised[:] = True
        self._raised[order[: self._below]] = False
        self._lowered[:] = False
        if self.coverage.exactly and self._must_come_down(dose):
            self._lowered[order[: self._below + 2]] = True
        self.lower[~self._raised] = 0.0
        self.upper[~self._lowered] = 0.0

    def _must_come_down(self, dose: Vector) -> bool:
        """Whether nothing pulls the target up to its prescription, so that equality must hold from above.

        Voxels pulled up meet the prescription exactly; bounds from above beside them would only fight them.
        """
        return bool(self.upper.any()) or (
            not self.lower.any() and self.coverage.achieved_gy(dose) > self.coverage.dose_gy
        )

    def loss(self, voxels: int) -> Loss:
        """Return the augmented Lagrangian's terms: ρ/2 · max(0, ±(b − d) + λ/ρ)² − λ²/2ρ for each bounded voxel."""
        raised, lowered = np.flatnonzero(self._raised), np.flatnonzero(self._lowered)
        half = self.penalty / 2
        return Loss(
            rows=np.concatenate([self.coverage.rows[raised], self.coverage.rows[lowered]]),
            threshold=self.coverage.dose_gy + np.concatenate([self.lower[raised], -self.upper[lowered]]) / self.penalty,
            over=np.concatenate([np.zeros(raised.size), np.full(lowered.size, half)]),
            under=np.concatenate([np.full(raised.size, half), np.zeros(lowered.size)]),
            voxels=voxels,
            constant=-float((self.lower**2).sum() + (self.upper**2).sum()) / (2 * self.penalty),
        )

    def update(self, dose: Vector) -> None:
        """Take the pulls at this dose as the new multipliers."""
        self.lower, self.upper = self._pulls(dose)

    def _pulls(self, dose: Vector) -> tuple[Vector, Vector]:
        """Force per voxel towards its lower and from its upper bound: the multipliers the penalty stands for."""
        below = self.coverage.dose_gy - dose[self.coverage.rows]
        pull_up = np.where(self._raised, np.maximum(self.lower + self.penalty * below, 0.0), 0.0)
        pull_down = np.where(self._lowered, np.maximum(self.upper - self.penalty * below, 0.0), 0.0)
        return pull_up, pull_down
