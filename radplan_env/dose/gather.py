"""Compiled kernels: from a beam's lattices to points, and back."""

from __future__ import annotations

import numba
import numpy as np

from radplan_env.compiled import compiled


@numba.njit(inline="always")
def _seen(point_z, point_y, point_x, geometry):  # type: ignore[no-untyped-def] # pragma: no cover
    """Place (x, z) of a point in the isocentre plane along the collimator's axes, and its inverse square."""
    z0, y0, x0, cos, sin, sad, turn_cos, turn_sin = geometry
    x, y, z = point_x - x0, point_y - y0, point_z - z0
    across, along = cos * x + sin * y, cos * y - sin * x + sad
    magnification = sad / along
    u, w = across * magnification, z * magnification
    inverse_square = sad * sad / (across * across + along * along + z * z)
    return turn_cos * u + turn_sin * w, turn_cos * w - turn_sin * u, inverse_square


@numba.njit(inline="always")
def _cells(u, w, per_mm, nx, nz):  # type: ignore[no-untyped-def] # pragma: no cover
    """Indices of the last lattice point up to a place, and the shares of that and the next ones along z, x and both.

    No place is beyond the planes. Indices are unsigned: that spares a check for negative ones.
    """
    x, z = u * per_mm + nx // 2, w * per_mm + nz // 2
    i, j = np.int64(x), np.int64(z)
    s, t = x - i, z - j
    both = s * t
    return np.uint64(i), np.uint64(j), 1 - s - t + both, t - both, s - both, both


@compiled(error_model="numpy")
def gather(points, depth, geometry, curves, per_depth, per_mm, planes, dose):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add Σₖ Dₖ(depth) · planeₖ(x, z) · (SAD/r)² to each point's dose.

    Depth doses `curves` (depths, components) and planes (n, m, components), the axis in their middle, are interpolated
    linearly.
    """
    nx, nz, components = planes.shape
    deepest = curves.shape[0] - 2
    one = np.uint64(1)
    for p in range(points.shape[0]):
        u, w, inverse_square = _seen(points[p, 0], points[p, 1], points[p, 2], geometry)
        i, j, here, along_z, along_x, both = _cells(u, w, per_mm, nx, nz)
        d = depth[p] * per_depth
        layer = np.uint64(min(np.int64(d), deepest))
        d -= layer
        total = 0.0
        for k in range(components):
            plane = here * planes[i, j, k] + along_z * planes[i, j + one, k]
            plane += along_x * planes[i + one, j, k] + both * planes[i + one, j + one, k]
            total += plane * (curves[layer, k] + d * (curves[layer + one, k] - curves[layer, k]))
        dose[p] += inverse_square * total


@compiled(error_model="numpy")
def scatter(points, depth, geometry, curves, per_depth, per_mm, values, planes):  # type: ignore[no-untyped-def] # pragma: no cover
    """Apply the adjoint of `gather`: add each point's value to the planes."""
    nx, nz, components = planes.shape
    deepest = curves.shape[0] - 2
    one = np.uint64(1)
    for p in range(points.shape[0]):
        u, w, inverse_square = _seen(points[p, 0], points[p, 1], points[p, 2], geometry)
        i, j, here, along_z, along_x, both = _cells(u, w, per_mm, nx, nz)
        d = depth[p] * per_depth
        layer = np.uint64(min(np.int64(d), deepest))
        d -= layer
        for k in range(components):
            share = curves[layer, k] + d * (curves[layer + one, k] - curves[layer, k])
            value = values[p] * inverse_square * share
            planes[i, j, k] += value * here
            planes[i, j + one, k] += value * along_z
            planes[i + one, j, k] += value * along_x
            planes[i + one, j + one, k] += value * both
