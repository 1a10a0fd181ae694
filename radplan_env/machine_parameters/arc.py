"""An arc at one moment: leaves, units, dose and value. Every arc there is can be delivered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.columns import Leaves
from radplan_env.delivery.coverage import Coverage
from radplan_env.machine_parameters.task import ArcTask

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Arc:
    """Leaves and units of an arc, with their dose.

    Parameters
    ----------
    task : ArcTask
    leaves : Leaves
    fluence : ndarray, shape (bixels,)
    unscaled : ndarray, shape (rows,)
        Dose in Gy of these units on K's rows.
    """

    task: ArcTask
    leaves: Leaves
    fluence: Array
    unscaled: Array

    @classmethod
    def of(cls, task: ArcTask, leaves: Leaves) -> Arc:
        """Return the arc of leaves within the machine's limits."""
        _, fluence = task.opened(leaves, 0, task.intervals)
        dose = task.left_out.copy()
        task.add_dose(slice(0, fluence.size), fluence, dose)
        return cls(task, leaves, fluence, dose)

    @property
    def factor(self) -> float:
        """By which units are multiplied so that D95 of the primary target is its prescription."""
        return self._scaling[0]

    @property
    def apertures(self) -> Apertures:
        """With units scaled to D95 = Rx."""
        return self.task.columns.apertures(self.leaves, self.factor / self.task.mu_to_units)

    @property
    def objective(self) -> float:
        """Eq. 1 of the scaled dose."""
        return self._derivatives[0]

    @cached_property
    def pull(self) -> Array:
        """How the objective changes with the unscaled dose of each row, shape (rows,).

        It is at right angles to the dose, as scaling that changes nothing.
        """
        (factor, by_dose), slope = self._scaling, self._derivatives[1]
        pull: Array = factor * slope + (slope @ self.unscaled) * by_dose
        return pull

    def prices(self, interval: int) -> Array:
        """Return how the objective changes if each bixel of an interval is opened, at its units."""
        units = self.leaves.units[interval] * (1 - self.task.columns.transmission)
        prices: Array = units * self.task.prices(interval, self.pull)
        return prices

    def openness(self, interval: int) -> Array:
        """Return the share of each bixel of an interval that is open, transmission included."""
        columns = self.task.columns
        share: Array = self.fluence[columns.begin[interval] : columns.end[interval]] / self.leaves.units[interval]
        return share

    def changed(self, interval: int, left_mm: Array, right_mm: Array, by_units: float) -> Arc:
        """Return the arc after a change of one interval, or this one if the change cannot be delivered.

        Parameters
        ----------
        interval : int
        left_mm, right_mm : ndarray, shape (pairs,)
            How far each leaf is to open at the interval's end; the first interval's leaves move at both its ends.
        by_units : float
            What the interval's units are multiplied by.
        """
        left, right, units = self.leaves.left.copy(), self.leaves.right.copy(), self.leaves.units.copy()
        for point in (0, 1) if interval == 0 else (interval + 1,):
            left[point] -= left_mm
            right[point] += right_mm
            self.task.place(left, right, point)
        units[interval] *= by_units
        leaves = Leaves(left, right, units)
        own, fluence = self.task.opened(leaves, interval, min(interval + 2, self.task.intervals))
        dose, whole = self.unscaled.copy(), self.fluence.copy()
        self.task.add_dose(own, fluence - whole[own], dose)
        whole[own] = fluence
        arc = Arc(self.task, leaves, whole, dose)
        return arc if self.task.deliverable(arc.apertures) else self

    @cached_property
    def _scaling(self) -> tuple[float, Array]:
        return Coverage.near(self.task.target, self.unscaled).factor(self.unscaled)

    @cached_property
    def _derivatives(self) -> tuple[float, Array, Array]:
        return self.task.loss.derivatives(self.factor * self.unscaled)
