"""One set of beams on one case: K, its solver, and the dose of a fluence on the dose grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radplan_env.dose import Prepared
from radplan_env.fluence import DoseConstraint, FluenceSolution, InnerSolver, Smoothness
from radplan_env.influence import DoseInfluence

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BeamSet:
    """What a planning system holds for one set of beams.

    Parameters
    ----------
    k : DoseInfluence
    solver : InnerSolver
    target : DoseConstraint
        Rows and volumes of the primary target.
    seen : Prepared, optional
        The beams traced to K's rows, where the beam model's dose reaches beyond K's lateral cutoff.
    shown : Prepared, optional
        The beams traced to the body's voxels on the dose grid, where K's rows are others.
    """

    k: DoseInfluence
    solver: InnerSolver
    target: DoseConstraint
    seen: Prepared | None = None
    shown: Prepared | None = None

    @property
    def beyond_k(self) -> Callable[[Vector], Vector] | None:
        """Dose in Gy at K's rows, shape (rows,), that a fluence (bixels,) gives beside K x; None if there is none."""
        return None if self.seen is None else self._beyond_k

    def _beyond_k(self, fluence: Vector) -> Vector:
        assert self.seen is not None
        beyond: Vector = self.seen.forward(self.k.bixels, fluence) - self.solver.dose(fluence)
        return beyond

    def dose_seen(self, fluence: Vector) -> Vector:
        """Return the dose in Gy of a fluence (bixels,) at K's rows, as a solution has it."""
        dose = self.solver.dose(fluence)
        return dose if self.seen is None else dose + self._beyond_k(fluence)

    def dose_shown(self, solution: FluenceSolution) -> NDArray[np.floating]:
        """Return a solution's dose in Gy at the body's voxels on the dose grid."""
        if self.shown is None:
            return solution.dose_gy
        return self.shown.dose_of_bixels(self.k.bixels, solution.fluence)

    def smoothness(self, weight: float) -> Smoothness | None:
        """Return the smoothness term of a weight; None for 0."""
        if weight == 0:
            return None
        return Smoothness(weight, self._pairs, self._gy_per_fluence, len(self.k.bixels))

    @cached_property
    def _pairs(self) -> NDArray[np.int64]:
        return self.k.bixels.neighbours()

    @cached_property
    def _gy_per_fluence(self) -> float:
        """Mean dose of the target where every bixel carries one unit of fluence."""
        dose = self.solver.dose(np.ones(len(self.k.bixels)))[self.target.rows]
        return float(self.target.shares @ dose)
