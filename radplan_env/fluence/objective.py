"""The inner loop's objective (Eq. 1 of GPT-RadPlan, arXiv 2406.15609) as a function of the dose.

    F(d) = Σ_t w_t · mean_{i∈t} (d_i − d_t)²  +  Σ_s w_s · mean_{i∈s} max(0, d_i − d_s)²

The paper prints the organ term without its square; its text says "squared overdosing", which is meant here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """One structure's part of the objective.

    Parameters
    ----------
    structure : str
        Name, for reports.
    rows : ndarray of int
        The voxels (rows of K) it acts on; no voxel belongs to two terms.
    weight : float
        Multiplies the mean over `rows`.
    dose_gy : float
        Objective dose.
    one_sided : bool
        True penalises overdose only (organs at risk), False any deviation (targets).
    """

    structure: str
    rows: Rows
    weight: float
    dose_gy: float
    one_sided: bool


class Objective:
    """Sum of quadratic terms over disjoint sets of voxels.

    Parameters
    ----------
    terms : sequence of Term
    voxels : int
        Number of rows of K.

    Raises
    ------
    ValueError
        If a term has no voxel or two terms share one.
    """

    def __init__(self, terms: Sequence[Term], voxels: int) -> None:
        self.terms = tuple(terms)
        self.voxels = voxels
        self._over = np.zeros(voxels)
        self._under = np.zeros(voxels)
        self._dose = np.zeros(voxels)
        taken = np.zeros(voxels, dtype=bool)
        for term in self.terms:
            if term.rows.size == 0:
                raise ValueError(f"the objective of {term.structure!r} has no voxels")
            if taken[term.rows].any():
                raise ValueError(f"the objective of {term.structure!r} shares voxels with another term")
            taken[term.rows] = True
            per_voxel = term.weight / term.rows.size
            self._over[term.rows] = per_voxel
            self._under[term.rows] = 0.0 if term.one_sided else per_voxel
            self._dose[term.rows] = term.dose_gy

    def derivatives(self, dose: Vector) -> tuple[float, Vector, Vector]:
        """Return value, gradient and curvature with respect to the dose, the last two per voxel."""
        excess = dose - self._dose
        weight = np.where(excess > 0, self._over, self._under)
        slope = weight * excess
        return float(slope @ excess), 2 * slope, 2 * weight

    def by_structure(self, dose: Vector) -> dict[str, float]:
        """Return each term's share of the objective."""
        excess = dose - self._dose
        loss = np.where(excess > 0, self._over, self._under) * excess**2
        return {term.structure: float(loss[term.rows].sum()) for term in self.terms}
