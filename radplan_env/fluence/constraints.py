"""Dose constraints of the inner loop, first of all that of Eq. 1 on a target's coverage: D95 = Rx.

D_q of n voxels is an order statistic: it is at least b when all but the coldest (100 − q) % of the voxels are, and at
most b when all but the hottest q % are. For a given set of exempt voxels that is one linear bound per voxel,

    minimise F(Kx) over x ≥ 0, subject to d_i ≥ b for i ∈ R and d_i ≤ b for i ∈ L, with d = Kx,

and an augmented Lagrangian turns each into a quadratic term (Nocedal & Wright, Numerical Optimization, 2nd ed.,
ch. 17.3; Rockafellar, Math. Program. 5, 1973, doi 10.1007/BF01580138, for inequalities):

    F(d) + Σ_{i∈R} [ρ/2 · max(0, b − d_i + λ_i/ρ)² − λ_i²/2ρ] + Σ_{i∈L} [ρ/2 · max(0, d_i − b + λ_i/ρ)² − λ_i²/2ρ].

After each minimisation λ_i becomes the pull of its term, ρ · max(0, ±(b − d_i) + λ_i/ρ), and the exempt voxels may be
chosen anew, as the projection onto {d : D_q(d) ≥ b} does. Bounds on the hottest or the coldest voxel are convex;
those on a D_q between them are not, and which voxels are exempt depends on where the solver starts.

A mean dose is the dose of one more row of K, the average of the structure's: one bound, one multiplier (`rows_of`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .loss import Loss
from .matrix import DoseOperator, InfluenceMatrix, MatrixWithRows
from .volumes import dose_at_volume, positions, shares

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]
CONSTRAINT_TOLERANCE = 5e-5
"""Relative error of a constraint a solver aims at; what counts as met is wider (`solver.MET_TOLERANCE`)."""
LEFT_TO_ROUNDING = 5e-4
"""Relative error of D_q that only the order of rows at the same dose makes."""
Relation = Literal["=", "≥", "≤"]


@dataclass(frozen=True)
class DoseConstraint:
    """D_q or the mean dose of a structure equals a dose, is at least or at most that.

    Parameters
    ----------
    structure : str
    rows : ndarray of int
        The structure's voxels (rows of K).
    relation : "=", "≥" or "≤"
    dose_gy : float
        The bound, positive; a target's prescription.
    percent : float, optional
        q, from 0 (the hottest voxel) to 100 (the coldest); 95 in Eq. 1. None bounds the mean.
    volumes_cc : ndarray, shape (rows,), optional
        Volume that each row stands for, positive; equal ones by default.
    coverage : bool
        Whether it is what a target must get: no limit outranks it where they exclude each other (`giving`).
    """

    structure: str
    rows: Rows
    relation: Relation
    dose_gy: float
    percent: float | None = 95.0
    volumes_cc: Vector | None = None
    coverage: bool = False

    @property
    def metric(self) -> str:
        """What is bounded: "D95%" or "mean"."""
        return "mean" if self.percent is None else f"D{self.percent:.6g}%"

    @property
    def shares(self) -> Vector:
        """Each row's share of the volume, shape (rows,)."""
        return shares(self.rows, self.volumes_cc)

    def exempt(self, order: Rows) -> int:
        """Return how many of the coldest rows a bound on D_q from below spares; `order` sorts the rows by dose.

        D_q is interpolated between the first that is not spared and the next.
        """
        assert self.percent is not None
        share = 1.0 - self.percent / 100.0
        if self.volumes_cc is None:
            return int(np.floor(share * (order.size - 1)))
        return max(int(np.searchsorted(positions(self.shares[order]), share, side="right")) - 1, 0)

    @property
    def key(self) -> tuple[str, str, str]:
        """Tells constraints apart whose bounds may change from solve to solve."""
        return self.structure, self.metric, self.relation

    def achieved_gy(self, dose: Vector) -> float:
        """Return the structure's D_q or mean, in Gy, from the dose of every voxel."""
        dose = dose[self.rows]
        if self.volumes_cc is None:
            return float(dose.mean() if self.percent is None else np.percentile(dose, 100.0 - self.percent))
        return float(self.shares @ dose) if self.percent is None else dose_at_volume(dose, self.shares, self.percent)

    def error(self, dose: Vector) -> float:
        """Return how far the constraint is from being met, as a fraction of its dose; 0 when it is."""
        short = 1.0 - self.achieved_gy(dose) / self.dose_gy
        return {"=": abs(short), "≥": max(short, 0.0), "≤": max(-short, 0.0)}[self.relation]


def rows_of(matrix: InfluenceMatrix, constraints: Sequence[DoseConstraint]) -> tuple[DoseOperator, list[Rows]]:
    """Return K with one more row for each constraint on a mean, and the rows that each constraint bounds."""
    averages = [matrix.adjoint(each.shares, each.rows) for each in means_of(constraints)]
    rows = bounded_rows(constraints, matrix.shape[0])
    return (MatrixWithRows(matrix, np.array(averages)) if averages else matrix), rows


def means_of(constraints: Sequence[DoseConstraint]) -> list[DoseConstraint]:
    """Return the constraints on means, in the order of the rows that they add."""
    return [each for each in constraints if each.percent is None]


def bounded_rows(constraints: Sequence[DoseConstraint], voxels: int) -> list[Rows]:
    """Return the rows that each constraint bounds: its own, or for a mean one below those of the voxels."""
    below = itertools.count(voxels)
    return [each.rows if each.percent is not None else np.array([next(below)]) for each in constraints]


def with_means(dose: Vector, means: Sequence[DoseConstraint]) -> Vector:
    """Return the doses of voxels, shape (voxels,), with those of the rows that means add."""
    return np.concatenate([dose, [each.shares @ dose[each.rows] for each in means]])


class Multipliers:
    """One constraint's bounds and Lagrange multipliers, voxel by voxel.

    Parameters
    ----------
    constraint : DoseConstraint
    rows : ndarray of int
        The rows it bounds: see `rows_of`.
    penalty : float
        Curvature of the augmented Lagrangian's quadratic term, per row.
    """

    def __init__(self, constraint: DoseConstraint, rows: Rows, penalty: float) -> None:
        self.constraint = constraint
        self.rows = rows
        self.penalty = self.first_penalty = penalty
        count = rows.size
        self.lower = np.zeros(count)
        self.upper = np.zeros(count)
        self._raised = np.zeros(count, dtype=bool)
        self._lowered = np.zeros(count, dtype=bool)
        self._withheld = 0

    def choose_voxels(self, dose: Vector) -> None:
        """Choose which voxels must reach the bound, and which must not exceed it."""
        order = np.argsort(dose[self.rows] - (self.lower - self.upper) / self.penalty, kind="stable")
        below = 0 if self.constraint.percent is None else max(self.constraint.exempt(order) - self._withheld, 0)
        self._raised[:] = self.constraint.relation != "≤"
        self._raised[order[:below]] = False
        self._lowered[:] = False
        if self._must_come_down(dose):
            self._lowered[order[: below + 2 + 2 * self._withheld]] = True
        self.lower[~self._raised] = 0.0
        self.upper[~self._lowered] = 0.0

    def _must_come_down(self, dose: Vector) -> bool:
        """Whether the bound holds from above: an equality's only where nothing pulls the target up to its dose.

        Voxels pulled up meet the dose exactly; bounds from above beside them would only fight them.
        """
        if self.constraint.relation != "=":
            return self.constraint.relation == "≤"
        return bool(self.upper.any()) or (
            not self.lower.any() and self.constraint.achieved_gy(dose) > self.constraint.dose_gy
        )

    def loss(self, voxels: int) -> Loss:
        """Return the augmented Lagrangian's terms: ρ/2 · max(0, ±(b − d) + λ/ρ)² − λ²/2ρ for each bounded voxel."""
        raised, lowered = np.flatnonzero(self._raised), np.flatnonzero(self._lowered)
        dose_gy, half = self.constraint.dose_gy, self.penalty / 2
        return Loss(
            rows=np.concatenate([self.rows[raised], self.rows[lowered]]),
            threshold=dose_gy + np.concatenate([self.lower[raised], -self.upper[lowered]]) / self.penalty,
            over=np.concatenate([np.zeros(raised.size), np.full(lowered.size, half)]),
            under=np.concatenate([np.full(raised.size, half), np.zeros(lowered.size)]),
            voxels=voxels,
            constant=-float((self.lower**2).sum() + (self.upper**2).sum()) / (2 * self.penalty),
        )

    @property
    def pulling(self) -> NDArray[np.bool_]:
        """Which of the bounded voxels have a multiplier, in the order of `loss`."""
        pulling: NDArray[np.bool_] = np.concatenate([self.lower[self._raised], self.upper[self._lowered]]) > 0
        return pulling

    def short_gy(self, dose: Vector) -> Vector:
        """Return the dose that each bounded voxel lacks, or must lose, in the order of `loss`."""
        below = self.constraint.dose_gy - dose[self.rows]
        return np.concatenate([below[self._raised], -below[self._lowered]])

    def take(self, pulls: Vector) -> None:
        """Take pulls on the bounded voxels, in the order of `loss`, as the new multipliers."""
        raised = np.count_nonzero(self._raised)
        self.lower[self._raised], self.upper[self._lowered] = pulls[:raised], pulls[raised:]

    def update(self, dose: Vector) -> None:
        """Take the pulls at this dose as the new multipliers."""
        self.lower, self.upper = self._pulls(dose)

    def price(self, error: float) -> float:
        """Return Σ λ_i · b, or that times the error if it is above 1: see `giving`."""
        return max(error, 1.0) * self.constraint.dose_gy * float(self.lower.sum() + self.upper.sum())

    def begin_again(self, share: float, dose: Vector, *, gives: bool) -> None:
        """Keep a share of the multipliers, at the first penalty, or as soft a one if the bound gives."""
        self.lower, self.upper = share * self.lower, share * self.upper
        self.penalty = share * self.first_penalty if gives else self.first_penalty
        if not gives:
            self.choose_voxels(dose)

    def error(self, dose: Vector) -> float:
        """Return the constraint's error, or 0 if it is small and left to rounding.

        Rows pulled to the bound have the same dose, and which of them comes first is left to rounding: one that stands
        for a larger volume than the choice of voxels reckoned with, perhaps. D_q then misses the bound though every row
        that must keep to it does.
        """
        error = self.constraint.error(dose)
        return 0.0 if error <= LEFT_TO_ROUNDING and self._falls_short(dose) else error

    def spare_fewer(self, dose: Vector) -> None:
        """Spare one row fewer if D_q misses the bound by more than can be left to rounding, though no row does."""
        if self.constraint.error(dose) > LEFT_TO_ROUNDING and self._falls_short(dose):
            self._withheld += 1
            self.choose_voxels(dose)

    def _falls_short(self, dose: Vector) -> bool:
        """Whether D_q misses the bound, though every row that must keep to it does."""
        bound, of_rows, achieved = self.constraint.dose_gy, dose[self.rows], self.constraint.achieved_gy(dose)
        least, most = (1.0 - CONSTRAINT_TOLERANCE) * bound, (1.0 + CONSTRAINT_TOLERANCE) * bound
        if self.lower.any() and achieved < least:
            return bool(of_rows[self._raised].min() >= least)
        return bool(self.upper.any() and achieved > most and of_rows[self._lowered].max() <= most)

    def idle_pull(self, dose: Vector) -> float:
        """Return Σ λ_i · |d_i − b| over the voxels within their bound: what pulling at them anyway may cost.

        Multipliers that an earlier solve has left are too large where its objective was heavier than today's.
        """
        pull_up, pull_down = self._pulls(dose)
        above = dose[self.rows] - self.constraint.dose_gy
        return float(pull_up @ np.maximum(above, 0.0) + pull_down @ np.maximum(-above, 0.0))

    def _pulls(self, dose: Vector) -> tuple[Vector, Vector]:
        """Force per voxel towards its lower and from its upper bound: the multipliers the penalty stands for."""
        below = self.constraint.dose_gy - dose[self.rows]
        pull_up = np.where(self._raised, np.maximum(self.lower + self.penalty * below, 0.0), 0.0)
        pull_down = np.where(self._lowered, np.maximum(self.upper - self.penalty * below, 0.0), 0.0)
        return pull_up, pull_down
