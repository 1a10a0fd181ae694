"""The bixels that cover a target, as pyRadPlan's photon IMRT generator lays them out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.beams import Array, Bixels
from radplan_env.grid import Grid, Triple
from radplan_env.influence.setup import Mask, Setup


def bixels_covering_target(setup: Setup) -> Bixels:
    """Return the bixels that cover a setup's target and a margin of one bixel; beam by beam, by x, then z."""
    target = _voxels_with_margin(setup.target, setup.grid, setup.bixel_mm)
    spread = _spread(max(setup.grid.spacing_mm), setup)
    beam_places = []
    for beam in setup.beams:
        x, y, z = beam.from_source(*target)
        x, z = beam.onto_collimator(x, z)
        magnification = beam.sad_mm / y
        lattice = np.stack([x * magnification, z * magnification]) / setup.bixel_mm
        places = np.rint(lattice - np.array(setup.bixel_offset)[:, None]).astype(np.int64)
        beam_places.append(_distinct(places, spread))
    beam_index = np.repeat(np.arange(len(setup.beams)), [len(places) for places in beam_places])
    return Bixels(beam_index, np.concatenate(beam_places), setup.bixel_mm, setup.bixel_offset)


def centre_of_mass(mask: Mask, grid: Grid) -> Triple:
    """Return a mask's centre (z, y, x) in mm: the isocentre of beams at a target."""
    centre = [o + s * c for o, s, c in zip(grid.origin_mm, grid.spacing_mm, ndimage.center_of_mass(mask), strict=True)]
    return float(centre[0]), float(centre[1]), float(centre[2])


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


def _voxels_with_margin(mask: Mask, grid: Grid, margin_mm: float) -> tuple[Array, Array, Array]:
    """Coordinates (z, y, x) of a mask's voxels and those around it: a box of the margin, in whole voxels."""
    voxels = [math.ceil(max(spacing, margin_mm) / spacing) for spacing in grid.spacing_mm]
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    window = tuple(slice(max(side.start - n, 0), side.stop + n) for side, n in zip(box, voxels, strict=True))
    grown: Mask = ndimage.maximum_filter(mask[window], [2 * n + 1 for n in voxels], mode="constant")
    index = np.nonzero(grown)
    z, y, x = (grid.coordinates_mm(axis)[index[axis] + window[axis].start] for axis in range(3))
    return z, y, x
