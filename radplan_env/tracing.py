"""Radiological depth of any point, along the straight line from the source to the point itself.

Exact path lengths through the CT's own voxels (Siddon, Med. Phys. 12, 252, 1985); what lies outside the body has
density 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radplan_env.beams import Beam
from radplan_env.compiled import compiled
from radplan_env.grid import Grid
from radplan_env.threads import run_in_slices

Array = NDArray[np.float64]

TISSUE_DENSITY = 0.05
"""Relative electron density at which the body begins, for the source-surface distance."""

# HU to relative electron density, pyRadPlan's default.
_HU = (-1024, -999, -90, -45, 0, 100, 350, 3000)
_DENSITY = (0.001, 0.001, 0.95, 0.99, 1, 1.095, 1.199, 2.505)


def electron_density(ct_hu: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return electron density relative to water."""
    density: NDArray[np.float64] = np.interp(ct_hu, _HU, _DENSITY)
    return density


def body_density(ct_hu: NDArray[np.float32], body: NDArray[np.bool_], grid: Grid) -> tuple[NDArray[np.float32], Grid]:
    """Return electron density relative to water in the box around the body and one voxel more, 0 outside the body."""
    (box,) = ndimage.find_objects(body.view(np.uint8))
    density = np.pad(np.where(body[box], electron_density(ct_hu[box]), 0).astype(np.float32), 1)
    origin = [o + s * (side.start - 1) for o, s, side in zip(grid.origin_mm, grid.spacing_mm, box, strict=True)]
    return density, Grid(density.shape, grid.spacing_mm, tuple(origin))


def depths(density: NDArray[np.float32], grid: Grid, beam: Beam, points_mm: Array) -> NDArray[np.float32]:
    """Return the depth of points (n, 3) in mm of water."""
    depth = np.empty(len(points_mm), dtype=np.float32)
    through = density.ravel(), *_in_voxels(grid, beam)
    run_in_slices(lambda _, a, b: _trace(*through, points_mm[a:b], depth[a:b]), len(points_mm))
    return depth


def surface_distance_mm(density: NDArray[np.float32], grid: Grid, beam: Beam) -> float:
    """Return the distance along the central axis from the source to the body; the beam's SAD if it misses."""
    spacing, source, shape = np.array(grid.spacing_mm), _source(beam), np.array(grid.shape)
    along = (np.array(beam.isocentre_mm) - source) / beam.sad_mm
    low = np.array(grid.origin_mm) - spacing / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        planes = [
            (low[axis] + spacing[axis] * np.arange(shape[axis] + 1) - source[axis]) / along[axis] for axis in range(3)
        ]
    crossings = np.unique(np.concatenate([p[np.isfinite(p)] for p in planes]))
    middles = source + (crossings[:-1] + crossings[1:])[:, None] / 2 * along
    index = np.floor((middles - low) / spacing).astype(np.int64)
    inside = np.flatnonzero(((index >= 0) & (index < shape)).all(axis=1))
    tissue = inside[density[tuple(index[inside].T)] > TISSUE_DENSITY]
    return float(crossings[tissue[0]]) if tissue.size else beam.sad_mm


def _source(beam: Beam) -> Array:
    """Place of the source (z, y, x) in patient coordinates."""
    cos, sin = beam.cos_sin
    z, y, x = beam.isocentre_mm
    return np.array([z, y - cos * beam.sad_mm, x + sin * beam.sad_mm])


def _in_voxels(grid: Grid, beam: Beam) -> tuple[Array, Array, Array, NDArray[np.int64]]:
    """Lower corner, spacing, source and shape, for the compiled kernel."""
    spacing = np.array(grid.spacing_mm)
    return np.array(grid.origin_mm) - spacing / 2, spacing, _source(beam), np.array(grid.shape)


@compiled(error_model="numpy")
def _trace(density, low, spacing, source, shape, points, depth):  # type: ignore[no-untyped-def] # pragma: no cover
    """Write the depth of each point; the outermost voxels are air, and catch a ray that rounding carries too far."""
    strides = (shape[1] * shape[2], shape[2], 1)
    for p in range(points.shape[0]):
        # The ray is point + t * (source - point), t from 0 to 1, in voxels: voxel i reaches from i to i + 1.
        start_z, start_y, start_x = (
            (points[p, 0] - low[0]) / spacing[0],
            (points[p, 1] - low[1]) / spacing[1],
            (points[p, 2] - low[2]) / spacing[2],
        )
        step_z, step_y, step_x = (
            (source[0] - points[p, 0]) / spacing[0],
            (source[1] - points[p, 1]) / spacing[1],
            (source[2] - points[p, 2]) / spacing[2],
        )
        first, last = 0.0, 1.0
        for start, step, size in (
            (start_z, step_z, shape[0]),
            (start_y, step_y, shape[1]),
            (start_x, step_x, shape[2]),
        ):
            if abs(step) > 1e-12:
                one, other = (1 - start) / step, (size - 1 - start) / step
                first, last = max(first, min(one, other)), min(last, max(one, other))
            elif not 1.0 <= start < size - 1:
                last = 0.0
        depth[p] = 0.0
        if first >= last:
            continue
        z = min(max(math.floor(start_z + first * step_z), 1), shape[0] - 2)
        y = min(max(math.floor(start_y + first * step_y), 1), shape[1] - 2)
        x = min(max(math.floor(start_x + first * step_x), 1), shape[2] - 2)
        voxel = z * strides[0] + y * strides[1] + x
        next_z = (z + (step_z > 0) - start_z) / step_z if abs(step_z) > 1e-12 else np.inf
        next_y = (y + (step_y > 0) - start_y) / step_y if abs(step_y) > 1e-12 else np.inf
        next_x = (x + (step_x > 0) - start_x) / step_x if abs(step_x) > 1e-12 else np.inf
        along_z, along_y, along_x = abs(1.0 / step_z), abs(1.0 / step_y), abs(1.0 / step_x)
        move_z = strides[0] if step_z > 0 else -strides[0]
        move_y = strides[1] if step_y > 0 else -strides[1]
        move_x = 1 if step_x > 0 else -1
        here, total = first, 0.0
        while True:
            if next_x < next_y and next_x < next_z:
                ahead, moved = next_x, move_x
                next_x += along_x
            elif next_y < next_z:
                ahead, moved = next_y, move_y
                next_y += along_y
            else:
                ahead, moved = next_z, move_z
                next_z += along_z
            if ahead >= last:
                break
            total += (ahead - here) * density[voxel]
            here = ahead
            voxel += moved
        total += (last - here) * density[voxel]
        away = (points[p, 0] - source[0]) ** 2 + (points[p, 1] - source[1]) ** 2 + (points[p, 2] - source[2]) ** 2
        depth[p] = total * math.sqrt(away)
