"""What the augmented Lagrangian asks of whoever minimises: one subproblem after the other, over x ≥ 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .loss import Loss
from .matrix import Vector
from .newton import Minimum


@dataclass(frozen=True)
class Subproblem:
    """A loss and bounds on doses, whose multipliers are given.

    Attributes
    ----------
    loss : Loss
    bounds : Loss
        Stiff one-sided pieces, added to the loss.
    pulling : ndarray of bool, shape (pieces,)
        Bounds that have a multiplier: most of them act at the minimum.
    tolerance : float
        Of `newton.kkt_residual`.
    negligible : float
        A loss below this counts as this in `newton.kkt_residual`.
    near : bool
        Whether it is solved from the minimum of one that differs in its multipliers only.
    """

    loss: Loss
    bounds: Loss
    pulling: NDArray[np.bool_]
    tolerance: float
    negligible: float
    near: bool


class Minimiser(Protocol):
    """Minimises the subproblems of one solve, one after the other; may keep what it has learnt in between."""

    def improved(self, loss: Loss, fluence: Vector) -> Vector:
        """Return a better start than a uniform fluence, or the fluence itself."""
        ...

    def minimise(self, subproblem: Subproblem, start: Vector, start_gy: Vector) -> Minimum:
        """Minimise from a fluence (bixels,), not negative, and its K x (voxels,)."""
        ...

    def multipliers(
        self, minimum: Minimum, subproblem: Subproblem, short_gy: Vector
    ) -> tuple[Vector, Vector, Vector] | None:
        """Return a fluence, its K x and pulls (pieces,) with which bounds would be met, or None: take the minimum's.

        Parameters
        ----------
        minimum : Minimum
        subproblem : Subproblem
            That it is of.
        short_gy : ndarray, shape (pieces,)
            Dose that each bound lacks, or what must come off if it is one from above.
        """
        ...
