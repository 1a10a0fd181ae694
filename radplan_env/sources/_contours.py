"""Planar contours of an RTSTRUCT as voxel masks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from radplan_env.grid import Grid

Polygon = NDArray[np.float64]
"""Vertices (n, 2) as (x, y)."""

SAME_PLANE_MM = 0.2
"""Contours this close in height were drawn on one plane: files round, and hand heights through matrices."""

_SAME_CONTOUR_MM = 0.05
_BRIDGED_SLICES = 3.1
_BRIDGED_MM = 5.1
_LARGEST_SPACING_MM = 20.0
_TIE_MM = 1e-3


def rasterise(contours: Iterable[NDArray[np.float64]], grid: Grid) -> NDArray[np.bool_]:
    """Voxels whose centres lie inside a structure's contours.

    Parameters
    ----------
    contours
        Closed axial contours, each (n, 3) LPS points (x, y, z) in mm. Contours of one plane combine by the
        even-odd rule, so an inner one cuts a hole; one that is given twice counts once. A slice between
        planes takes the nearest of them. Planes further apart than three slices, or than 1.5 times the usual
        distance of a structure drawn on every n-th slice, leave a gap.

    Returns
    -------
    ndarray of bool, shape ``grid.shape``
    """
    planes = list(_planes(contours))
    mask = np.zeros(grid.shape, bool)
    z = grid.coordinates_mm(0) + _TIE_MM
    slabs = _slabs(np.array([height for height, _ in planes]), grid.spacing_mm[0])
    for (low, high), (_, polygons) in zip(slabs, planes, strict=True):
        if (slices := (low <= z) & (z < high)).any():
            mask[slices] = _fill(_distinct(polygons), grid)
    return mask


def _planes(contours: Iterable[NDArray[np.float64]]) -> Iterator[tuple[float, list[Polygon]]]:
    """Height and polygons of each plane, upwards."""
    by_height = sorted(((float(c[:, 2].mean()), c[:, :2]) for c in contours), key=lambda pair: pair[0])
    plane: list[Polygon] = []
    lowest = -np.inf
    for height, polygon in by_height:
        if height - lowest <= SAME_PLANE_MM:
            plane.append(polygon)
            continue
        if plane:
            yield lowest, plane
        lowest, plane = height, [polygon]
    if plane:
        yield lowest, plane


def _slabs(heights: NDArray[np.float64], slice_mm: float) -> list[tuple[float, float]]:
    """The heights that each plane stands for: half-way to the next ones, as far at the ends of a run of planes.

    A run thinner than a slice stands for one slice, so that a lone contour always fills exactly one.
    """
    gaps = np.diff(heights)
    bridged = max(_BRIDGED_SLICES * slice_mm, _BRIDGED_MM)
    if len(gaps) >= 3 and (usual := float(np.median(gaps))) <= _LARGEST_SPACING_MM:
        bridged = max(bridged, 1.5 * usual)
    slabs = []
    for run in np.split(np.arange(len(heights)), np.flatnonzero(gaps > bridged) + 1):
        if len(run) == 0:
            continue
        planes = heights[run]
        steps = np.diff(planes) if len(run) > 1 else np.array([slice_mm])
        edges = np.concatenate(
            [[planes[0] - steps[0] / 2], (planes[1:] + planes[:-1]) / 2, [planes[-1] + steps[-1] / 2]]
        )
        if (lacking := slice_mm - (edges[-1] - edges[0])) > 0:
            edges[[0, -1]] += -lacking / 2, lacking / 2
        slabs += list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    return slabs


def _distinct(polygons: Sequence[Polygon]) -> list[Polygon]:
    """Polygons without repetitions, wherever and in whichever direction a repetition starts."""
    kept: list[Polygon] = []
    shapes: list[NDArray[np.float64]] = []
    for polygon in polygons:
        shape = _shape(polygon)
        if all(np.abs(shape - other).max() > _SAME_CONTOUR_MM for other in shapes):
            kept.append(polygon)
            shapes.append(shape)
    return kept


def _shape(polygon: Polygon) -> NDArray[np.float64]:
    """Box, root of the area and centroid of a polygon, in mm."""
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    start = polygon - low
    end = np.roll(start, -1, axis=0)
    cross = start[:, 0] * end[:, 1] - end[:, 0] * start[:, 1]
    area = cross.sum() / 2
    centroid = ((start + end) * cross[:, np.newaxis]).sum(axis=0) / (6 * area) if abs(area) > 1e-6 else np.zeros(2)
    return np.concatenate([low, high, [np.sqrt(abs(area))], centroid])


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
