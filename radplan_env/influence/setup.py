"""What a dose-influence matrix is computed from: the patient, the dose grid and the beams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam, Bixels
from radplan_env.grid import Grid

Mask = NDArray[np.bool_]

LATERAL_CUTOFF_MM = 50.0
"""K has no dose farther from a bixel's axis, in the isocentre plane; pyRadPlan's default. `radplan_env.dose` has."""


@dataclass(frozen=True, eq=False)
class Setup:
    """A patient before the beams.

    Parameters
    ----------
    title : str
        What a progress bar says.
    model : BeamModel
    ct_hu : ndarray, shape (z, y, x)
    body, target : ndarray of bool, shape (z, y, x)
        Beams cover the target.
    grid : Grid
        Of the three above.
    dose_grid : Grid
    rows : ndarray of int, shape (voxels,)
        Flat index on the dose grid of every row of K, voxels of the body, in ascending order.
    points_mm : ndarray, shape (voxels, 3)
        Where in them (z, y, x) the dose is asked for; pyRadPlan takes their centres.
    beams : tuple of Beam
        With one isocentre.
    bixel_mm : float
        Width of a bixel in the isocentre plane.
    bixel_offset : tuple of float
        How far (x, z) the bixels' lattice is moved off the central axis, in bixel widths.
    cutoff_mm : float
        How far from a bixel's axis, in the isocentre plane, K has dose.
    """

    title: str
    model: BeamModel
    ct_hu: NDArray[np.float32]
    body: Mask
    target: Mask
    grid: Grid
    dose_grid: Grid
    rows: NDArray[np.int64]
    points_mm: NDArray[np.float64]
    beams: tuple[Beam, ...]
    bixel_mm: float
    bixel_offset: tuple[float, float]
    cutoff_mm: float = LATERAL_CUTOFF_MM


Matrix = tuple[sparse.csr_array, Bixels]
"""K by body voxel and bixel (float32, Gy per unit fluence), and what its columns are."""

Engine = Callable[[Setup, bool], Matrix]
"""Computes K; the second argument says whether to show a progress bar."""
