"""Planar contours of an RTSTRUCT as voxel masks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from radplan_env.grid import Grid

Polygon = NDArray[np.float64]
"""Vertices (n, 2) as (x, y)."""


def rasterise(contours: Iterable[NDArray[np.float64]], grid: Grid) -> NDArray[np.bool_]:
    """Voxels whose centres lie inside a structure's contours.

    Parameters
    ----------
    contours
        Closed axial contours, each (n, 3) LPS points (x, y, z) in mm. Contours of one plane combine by the
        even-odd rule, so an inner one cuts a hole. A slice between planes takes the nearest of them, as far
        as half the distance of the planes.

    Returns
    -------
    ndarray of bool, shape ``grid.shape``
    """
    planes: dict[float, list[Polygon]] = defaultdict(list)
    for points in contours:
        planes[round(float(points[0, 2]), 3)].append(points[:, :2])
    mask = np.zeros(grid.shape, bool)
    if not planes:
        return mask
    heights = np.array(sorted(planes))
    distance = np.median(np.diff(heights)) if len(heights) > 1 else grid.spacing_mm[0]
    reach = max(distance, grid.spacing_mm[0]) / 2 + 1e-3
    for k, z in enumerate(grid.coordinates_mm(0)):
        nearest = heights[np.argmin(np.abs(heights - z))]
        if abs(nearest - z) <= reach:
            mask[k] = _fill(planes[float(nearest)], grid)
    return mask


def _fill(polygons: Sequence[Polygon], grid: Grid) -> NDArray[np.bool_]:
    """Even-odd scanline fill of one slice."""
    (_, rows, columns), (_, dy, dx), (_, oy, ox) = grid.shape, grid.spacing_mm, grid.origin_mm
    starts = np.concatenate(polygons)
    ends = np.concatenate([np.roll(polygon, -1, axis=0) for polygon in polygons])
    (x0, y0), (x1, y1) = (((p - (ox, oy)) / (dx, dy)).T for p in (starts, ends))
    row = np.arange(rows)[:, np.newaxis]
    crossed, edge = np.nonzero((y0 <= row) != (y1 <= row))
    x = x0[edge] + (crossed - y0[edge]) / (y1[edge] - y0[edge]) * (x1[edge] - x0[edge])
    crossings = np.zeros((rows, columns + 1), np.int32)
    np.add.at(crossings, (crossed, np.clip(np.ceil(x), 0, columns).astype(int)), 1)
    inside: NDArray[np.bool_] = np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1
    return inside
