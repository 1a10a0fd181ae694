"""Distances from the surfaces of masks, computed only where they are asked for."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.grid import Grid

Mask = NDArray[np.bool_]
Distances = NDArray[np.float32]


def distance_mm(mask: Mask, grid: Grid, reach_mm: float) -> Distances:
    """Return how far voxels lie outside a mask's surface.

    Parameters
    ----------
    mask : ndarray of bool, shape (z, y, x)
    grid : Grid
    reach_mm : float
        Voxels further away are not looked at.

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        mm from the surface to the voxel's centre: 0 inside, infinite beyond the reach.
    """
    distances = np.full(mask.shape, np.inf, np.float32)
    if mask.any():
        window = _window(mask, grid, reach_mm)
        found = ndimage.distance_transform_edt(~mask[window], grid.spacing_mm)
        outside = np.where(found > 0, found - _half_voxel(grid), 0)
        distances[window] = np.where(outside <= reach_mm, outside, np.inf)
    return distances


def depth_mm(mask: Mask, where: Mask, grid: Grid) -> Distances:
    """Return how deep voxels lie under a mask's surface; an edge of the grid is no surface.

    Parameters
    ----------
    mask, where : ndarray of bool, shape (z, y, x)
        The mask, and voxels whose depth is asked for.
    grid : Grid

    Returns
    -------
    ndarray of float32, shape (z, y, x)
        mm from the surface to the voxel's centre, exact up to 20 mm; 0 outside the mask, infinite outside `where`.
    """
    depths = np.full(mask.shape, np.inf, np.float32)
    window = _window(where, grid, 20.0)
    inside = mask[window]
    found = ndimage.distance_transform_edt(inside, grid.spacing_mm) if not inside.all() else np.inf
    deep = np.where(inside, found - _half_voxel(grid), 0)
    depths[window] = np.where(where[window], deep, np.inf)
    return depths


def _half_voxel(grid: Grid) -> float:
    """Surfaces lie half a voxel before the first centre on their other side."""
    return min(grid.spacing_mm) / 2


def _window(mask: Mask, grid: Grid, margin_mm: float) -> tuple[slice, ...]:
    """The box of a mask and what lies within a margin of it."""
    (box,) = ndimage.find_objects(mask.view(np.uint8))
    margins = [math.ceil(margin_mm / spacing) + 1 for spacing in grid.spacing_mm]
    return tuple(slice(max(side.start - n, 0), side.stop + n) for side, n in zip(box, margins, strict=True))
