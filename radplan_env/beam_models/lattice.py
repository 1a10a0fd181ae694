"""Lattices in the isocentre plane: that on which fluence is convolved, and that of a bixel's table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BIXEL_TABLE_MM = 0.5
"""Spacing of a bixel's table, as pyRadPlan has it by default."""

Reach = tuple[int, int]
"""How many places along x and z something goes from the axis at most."""


@dataclass(frozen=True)
class Window:
    """Where on a lattice fluence lies, and where its dose is wanted; place 0 is the axis.

    Parameters
    ----------
    spacing_mm : float
    cells, points : tuple of int
        Reach of the fluence's cells, and of the planes' places.
    """

    spacing_mm: float
    cells: Reach
    points: Reach

    @property
    def shape(self) -> tuple[int, int]:
        """Places of the planes, along x and z."""
        return 2 * self.points[0] + 1, 2 * self.points[1] + 1

    def within(self, reach_mm: float) -> Reach:
        """Return the reach of the planes' places that lie within a distance of the cells, along each axis."""
        beyond = self._beyond(reach_mm)
        along_x, along_z = (min(p, c + beyond) for p, c in zip(self.points, self.cells, strict=True))
        return along_x, along_z

    def period(self, reach_mm: float) -> tuple[int, int]:
        """Return the fewest places after which fluence may come again and not be seen from within a distance."""
        near, beyond = self.within(reach_mm), self._beyond(reach_mm)
        along_x, along_z = (max(c + n + beyond, 2 * c, 2 * n) + 1 for c, n in zip(self.cells, near, strict=True))
        return along_x, along_z

    def _beyond(self, reach_mm: float) -> int:
        return int(reach_mm / self.spacing_mm) + 1


def frequencies(shape: tuple[int, int], spacing_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Angular frequencies of a lattice's real transform in rad per mm, along x (n) and z (m // 2 + 1)."""
    step = spacing_mm / (2 * np.pi)
    x: NDArray[np.float64] = np.fft.fftfreq(shape[0], step).astype(np.float64)
    z: NDArray[np.float64] = np.fft.rfftfreq(shape[1], step).astype(np.float64)
    return x, z
