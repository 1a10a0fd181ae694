"""Beam geometry and the bixels that cover a target, as pyRadPlan's photon IMRT generator lays them out.

Beam's eye view: x across the beam, y along it away from the source, z towards the patient's head; the gantry turns
about z (IEC 61217, head first supine). Bixels lie in the plane through the isocentre on multiples of their width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.grid import Grid, Triple
from radplan_env.influence.setup import Mask, Setup

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Beam:
    """One beam and its bixels.

    Parameters
    ----------
    gantry_angle_deg : float
    isocentre_mm : tuple of float
        (z, y, x).
    sad_mm : float
    bixel_mm : float
    bixels : ndarray of int, shape (bixels, 2)
        Place (x, z) of each bixel in the isocentre plane, in bixel widths; in lexicographic order.
    """

    gantry_angle_deg: float
    isocentre_mm: Triple
    sad_mm: float
    bixel_mm: float
    bixels: NDArray[np.int64]

    @property
    def cos_sin(self) -> tuple[float, float]:
        """Cosine and sine of the gantry angle."""
        angle = self.gantry_angle_deg / 180 * math.pi
        return math.cos(angle), math.sin(angle)

    @property
    def positions_mm(self) -> Array:
        """Bixel centres (x, z) in the isocentre plane, shape (bixels, 2)."""
        return self.bixel_mm * self.bixels.astype(np.float64)

    def from_source(self, z_mm: Array, y_mm: Array, x_mm: Array) -> tuple[Array, Array, Array]:
        """Return patient coordinates as beam's eye view coordinates (x, y, z) from the source."""
        cos, sin = self.cos_sin
        z0, y0, x0 = self.isocentre_mm
        x, y = x_mm - x0, y_mm - y0
        return cos * x + sin * y, cos * y - sin * x + self.sad_mm, z_mm - z0


def beams_covering_target(setup: Setup, sad_mm: float) -> list[Beam]:
    """Return the beams of a setup with the bixels that cover its target and a margin of one bixel."""
    isocentre = _centre_of_mass(setup.target, setup.grid)
    target = _voxels_with_margin(setup.target, setup.grid, setup.bixel_mm)
    coarsest = max(setup.grid.spacing_mm)
    beams = []
    for angle in setup.gantry_angles_deg:
        beam = Beam(angle, isocentre, sad_mm, setup.bixel_mm, np.empty((0, 2), dtype=np.int64))
        x, y, z = beam.from_source(*target)
        magnification = sad_mm / y
        places = np.rint(np.stack([x * magnification, z * magnification]) / setup.bixel_mm).astype(np.int64)
        beams.append(Beam(angle, isocentre, sad_mm, setup.bixel_mm, _distinct(places, _spread(coarsest, setup))))
    return beams


def _spread(coarsest_mm: float, setup: Setup) -> int:
    """Bixels to add around each, where voxels are too coarse to mark every bixel they shine through."""
    return math.floor(coarsest_mm / setup.bixel_mm) if setup.bixel_mm < coarsest_mm else 0


def _distinct(places: NDArray[np.int64], spread: int) -> NDArray[np.int64]:
    """Places that occur, in lexicographic order, each with those from -spread to spread - 1 beside it."""
    low = places.min(axis=1) - spread
    covered = np.zeros(places.max(axis=1) - low + 1 + spread, dtype=bool)
    covered[tuple(places - low[:, None])] = True
    for axis in (0, 1) if spread else ():
        covered = np.logical_or.reduce([np.roll(covered, shift, axis) for shift in range(-spread, spread)])
    distinct: NDArray[np.int64] = np.argwhere(covered) + low
    return distinct


def _centre_of_mass(mask: Mask, grid: Grid) -> Triple:
    centre = [o + s * c for o, s, c in zip(grid.origin_mm, grid.spacing_mm, ndimage.center_of_mass(mask), strict=True)]
    return float(centre[0]), float(centre[1]), float(centre[2])


def _voxels_with_margin(mask: Mask, grid: Grid, margin_mm: float) -> tuple[Array, Array, Array]:
    """Coordinates (z, y, x) of a mask's voxels and those around it: a box of the margin, in whole voxels."""
    voxels = [math.ceil(max(spacing, margin_mm) / spacing) for spacing in grid.spacing_mm]
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    window = tuple(slice(max(side.start - n, 0), side.stop + n) for side, n in zip(box, voxels, strict=True))
    grown: Mask = ndimage.maximum_filter(mask[window], [2 * n + 1 for n in voxels], mode="constant")
    index = np.nonzero(grown)
    z, y, x = (grid.coordinates_mm(axis)[index[axis] + window[axis].start] for axis in range(3))
    return z, y, x
