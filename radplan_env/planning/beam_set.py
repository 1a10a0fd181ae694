"""One set of beams on one case: K, its solver, and the dose of a fluence on the dose grid."""

from __future__ import annotations

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
    shown : Prepared, optional
        The beams traced to the body's voxels on the dose grid, where K's rows are others.
    """

    k: DoseInfluence
    solver: InnerSolver
    target: DoseConstraint
    shown: Prepared | None = None

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
