"""What a dose-influence matrix is computed from: the patient, the dose grid and the beams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env.grid import Grid

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Setup:
    """A patient before the beams.

    Parameters
    ----------
    title : str
        What a progress bar says.
    ct_hu : ndarray, shape (z, y, x)
    body, target : ndarray of bool, shape (z, y, x)
        Beams cover the target; its centre of mass is the isocentre.
    grid : Grid
        Of the three above.
    dose_grid : Grid
    rows : ndarray of int, shape (voxels,)
        Flat index on the dose grid of every row of K: the voxels of the body, in ascending order.
    gantry_angles_deg : tuple of float
    bixel_mm : float
        Width of a bixel at the isocentre.
    """

    title: str
    ct_hu: NDArray[np.float32]
    body: Mask
    target: Mask
    grid: Grid
    dose_grid: Grid
    rows: NDArray[np.int64]
    gantry_angles_deg: tuple[float, ...]
    bixel_mm: float


Matrix = tuple[sparse.csr_array, NDArray[np.int64]]
"""K by body voxel and bixel (float32, Gy per unit fluence), and the beam of each bixel."""

Engine = Callable[[Setup, bool], Matrix]
"""Computes K; the second argument says whether to show a progress bar."""
