"""Coverage by scaling: the factor that has a dose cover a target, as a smooth function of the dose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radplan_env.fluence import DoseConstraint

Array = NDArray[np.float64]

_COLDEST = 0.1
"""Share of the target whose mean dose stands for D95: a quantile alone hangs on a row or two."""


@dataclass(frozen=True, eq=False)
class Coverage:
    """Scales doses to D95 = Rx, near a dose that it knows.

    Parameters
    ----------
    target : DoseConstraint
    ratio : float
        Of the mean dose of the target's coldest tenth to D95.
    """

    target: DoseConstraint
    ratio: float

    @classmethod
    def near(cls, target: DoseConstraint, dose: Array) -> Coverage:
        """Return the scaling that is exact at a dose, shape (rows,)."""
        achieved = target.achieved_gy(dose)
        return cls(target, cls(target, 1.0)._coldest(dose)[0] / achieved if achieved > 0 else 1.0)

    def factor(self, dose: Array) -> tuple[float, Array]:
        """Return the factor for a dose, and its slope by the dose of each row, both shape (rows,)."""
        mean, weight = self._coldest(dose)
        slope = np.zeros(dose.size)
        if mean <= 0:
            return 1.0, slope
        factor = self.ratio * self.target.dose_gy / mean
        slope[self.target.rows] = -factor / mean * weight
        return factor, slope

    def _coldest(self, dose: Array) -> tuple[float, Array]:
        """Mean dose of the target's coldest tenth, and the weight of each of its rows in that."""
        of_target, share = dose[self.target.rows], self.target.shares
        order = np.argsort(of_target, kind="stable")
        up_to = np.minimum(np.cumsum(share[order]), _COLDEST)
        weight = np.zeros(order.size)
        weight[order] = np.diff(up_to, prepend=0.0) / _COLDEST
        return float(weight @ of_target), weight
