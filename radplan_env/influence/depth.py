"""Radiological depth along a diverging beam, by Siddon's exact path (Med. Phys. 12, 252, 1985).

As pyRadPlan's ray tracer: rays end on a regular lattice behind the patient, fine enough that every voxel is crossed by
the ray nearest to its centre, and a voxel's depth is that ray's at the middle of its way through the voxel. A voxel
none of whose rays passes within the lateral cutoff of a bixel has no depth.
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from radplan_env.beams import Beam
from radplan_env.compiled import compiled
from radplan_env.grid import Grid
from radplan_env.threads import run_in_slices
from radplan_env.tracing import TISSUE_DENSITY


def radiological_depth(
    density: NDArray[np.float32], grid: Grid, beam: Beam, bixels_mm: NDArray[np.float64], lateral_cutoff_mm: float
) -> tuple[NDArray[np.float32], float]:
    """Trace a beam through a patient.

    Parameters
    ----------
    density : ndarray of float32, shape (z, y, x)
        Electron density relative to water.
    grid : Grid
    beam : Beam
    bixels_mm : ndarray, shape (bixels, 2)
        Centres (x, z) in the isocentre plane, along the collimator's axes.
    lateral_cutoff_mm : float
        How far from a bixel rays are traced, on the plane behind the patient where they end.

    Returns
    -------
    depth_mm : ndarray of float32, shape (z, y, x)
        In mm of water; NaN where no ray was traced or there is nothing (density 0).
    ssd_mm : float
        Source-surface distance along the bixel nearest to the central axis.
    """
    corners = np.array(list(product(*(grid.coordinates_mm(axis)[[0, -1]] for axis in range(3))))).T
    plane_mm = float(beam.from_source(*corners)[1].max() + max(grid.spacing_mm))
    spacing_mm = min(grid.spacing_mm) / math.sqrt(2.0)
    bixels = np.column_stack(beam.from_collimator(*bixels_mm.T)) * plane_mm / beam.sad_mm
    rays = _lattice_near(bixels, spacing_mm, lateral_cutoff_mm)
    central = bixels[[np.argmin((bixels**2).sum(axis=1))]]
    depth = np.full(grid.shape, np.nan, dtype=np.float32)
    place = (np.array(grid.origin_mm) - beam.isocentre_mm, np.array(grid.spacing_mm), *beam.cos_sin, beam.sad_mm)
    run_in_slices(
        lambda _, start, stop: _trace(density, *place, plane_mm, rays[start:stop], spacing_mm / 2, depth), len(rays)
    )
    (ssd_mm,) = _trace(density, *place, plane_mm, central, 0.0, depth)
    return depth, float(ssd_mm)


def _lattice_near(points: NDArray[np.float64], spacing: float, distance: float) -> NDArray[np.float64]:
    """Points of the square lattice through the origin that lie within a distance of one of the given points."""
    low = np.floor((points.min(axis=0) - distance) / spacing).astype(int)
    high = np.ceil((points.max(axis=0) + distance) / spacing).astype(int)
    axes = [spacing * np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    nearest, _ = KDTree(points).query(lattice, distance_upper_bound=np.nextafter(distance, np.inf))
    near: NDArray[np.float64] = lattice[np.isfinite(nearest)]
    return near


@compiled
def _trace(density, origin, spacing, cos, sin, sad, plane, rays, half_width, depth):  # type: ignore[no-untyped-def]
    """Write the depth of each voxel whose centre, seen from the source, lies in a ray's square of the lattice.

    `origin` is the first voxel's centre (z, y, x) from the isocentre. The squares tile the plane, so that one ray
    alone writes to a voxel. Returns how far along each ray the body begins.
    """
    surface = np.full(rays.shape[0], sad)
    for r in range(rays.shape[0]):
        ray_x, ray_z = rays[r]
        beyond = plane - sad
        source = np.array((0.0, -cos * sad, sin * sad))
        along = np.array((ray_z, sin * ray_x + cos * beyond, cos * ray_x - sin * beyond)) - source
        length = math.sqrt((along**2).sum())
        # In voxels, with voxel i from i to i + 1; the ray is start + alpha * step, alpha from 0 to 1.
        start = (source - origin) / spacing + 0.5
        step = along / spacing
        alpha, last = 0.0, 1.0
        for axis in range(3):
            if step[axis] != 0.0:
                one = -start[axis] / step[axis]
                other = (density.shape[axis] - start[axis]) / step[axis]
                alpha = max(alpha, min(one, other))
                last = min(last, max(one, other))
            elif not 0.0 <= start[axis] < density.shape[axis]:
                last = 0.0
        if alpha >= last:
            continue
        index = np.empty(3, dtype=np.int64)
        crossing = np.empty(3)
        for axis in range(3):
            entry = start[axis] + alpha * step[axis]
            inside = math.floor(entry) if step[axis] >= 0.0 else math.ceil(entry) - 1
            index[axis] = min(max(inside, 0), density.shape[axis] - 1)
            ahead = index[axis] + (1 if step[axis] > 0.0 else 0)
            crossing[axis] = (ahead - start[axis]) / step[axis] if step[axis] != 0.0 else np.inf
        surface[r] = length * alpha
        total, in_air = 0.0, True
        while alpha < last:
            axis = 0
            if crossing[1] < crossing[axis]:
                axis = 1
            if crossing[2] < crossing[axis]:
                axis = 2
            leaves = min(crossing[axis], last)
            if leaves > alpha:
                here = density[index[0], index[1], index[2]]
                if in_air and here > TISSUE_DENSITY:
                    surface[r], in_air = length * alpha, False
                passed = length * (leaves - alpha) * here
                if here > 0.0:
                    z = origin[0] + spacing[0] * index[0]
                    y = origin[1] + spacing[1] * index[1]
                    x = origin[2] + spacing[2] * index[2]
                    magnification = plane / (cos * y - sin * x + sad)
                    off_x = (cos * x + sin * y) * magnification - ray_x
                    off_z = z * magnification - ray_z
                    if -half_width < off_x <= half_width and -half_width < off_z <= half_width:
                        depth[index[0], index[1], index[2]] = total + passed / 2
                total += passed
                alpha = leaves
            index[axis] += 1 if step[axis] > 0.0 else -1
            if not 0 <= index[axis] < density.shape[axis]:
                break
            crossing[axis] += abs(1.0 / step[axis])
    return surface
