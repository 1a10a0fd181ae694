"""The inner loop's objective (Eq. 1 of GPT-RadPlan, arXiv 2406.15609) as a function of the dose.

    F(d) = Σ_t w_t · mean_{i∈t} (d_i − d_t)²  +  Σ_s w_s · mean_{i∈s} max(0, d_i − d_s)²,

means by volume.

The paper prints the organ term without its square; its text says "squared overdosing", which is meant here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .loss import Loss
from .volumes import shares

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
        Multiplies the mean over the rows' volume.
    dose_gy : float
        Objective dose.
    one_sided : bool
        True penalises overdose only (organs at risk), False any deviation (targets).
    volumes_cc : ndarray, shape (rows,), optional
        Volume that each row stands for, positive; equal ones by default.
    """

    structure: str
    rows: Rows
    weight: float
    dose_gy: float
    one_sided: bool
    volumes_cc: Vector | None = None

    @property
    def shares(self) -> Vector:
        """Each row's share of the volume, shape (rows,)."""
        return shares(self.rows, self.volumes_cc)


class Objective:
    """Sum of quadratic terms over disjoint sets of voxels.

    Parameters
    ----------
    terms : sequence of Term
    voxels : int
        Number of rows of K.

    Attributes
    ----------
    loss : Loss
        As a function of the dose.

    Raises
    ------
    ValueError
        If a term has no voxel or two terms share one.
    """

    def __init__(self, terms: Sequence[Term], voxels: int) -> None:
        self.terms = tuple(terms)
        taken = np.zeros(voxels, dtype=bool)
        for term in self.terms:
            if term.rows.size == 0:
                raise ValueError(f"the objective of {term.structure!r} has no voxels")
            if taken[term.rows].any():
                raise ValueError(f"the objective of {term.structure!r} shares voxels with another term")
            taken[term.rows] = True
        self.loss = sum((_loss(term, voxels) for term in self.terms), Loss.zero(voxels))

    def by_structure(self, dose: Vector) -> dict[str, float]:
        """Return each term's share of the objective."""
        return {term.structure: _loss(term, self.loss.voxels).derivatives(dose)[0] for term in self.terms}


def _loss(term: Term, voxels: int) -> Loss:
    if term.volumes_cc is None:
        over = np.full(term.rows.size, term.weight / term.rows.size)
    else:
        over = term.weight * term.shares
    return Loss(
        term.rows, np.full(term.rows.size, float(term.dose_gy)), over, 0 * over if term.one_sided else over, voxels
    )
