"""Lattices in the isocentre plane: that on which fluence is convolved, and that of a bixel's table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BIXEL_TABLE_MM = 0.5
"""Spacing of a bixel's table, as pyRadPlan has it by default."""


@dataclass(frozen=True)
class Lattice:
    """Square cells centred on multiples of their spacing; place i lies at index i modulo the size.

    Parameters
    ----------
    spacing_mm : float
    shape : tuple of int
        Cells along x and z.
    """

    spacing_mm: float
    shape: tuple[int, int]

    @property
    def frequencies(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Angular frequencies of a real transform in rad per mm, along x (n) and z (m // 2 + 1)."""
        step = self.spacing_mm / (2 * np.pi)
        x: NDArray[np.float64] = np.fft.fftfreq(self.shape[0], step).astype(np.float64)
        z: NDArray[np.float64] = np.fft.rfftfreq(self.shape[1], step).astype(np.float64)
        return x, z
