"""Compiled kernels: from a beam's lattices to points, and back."""

from __future__ import annotations

import math

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
def _cell(place, size):  # type: ignore[no-untyped-def] # pragma: no cover
    """Indices of the two lattice points around a place, and how far it lies from the first; none is a size away."""
    first = math.floor(place)
    share = place - first
    index = np.int64(first)
    if index < 0:
        index += size
    return index, (index + 1 if index + 1 < size else 0), share


@compiled(error_model="numpy")
def gather(points, depth, geometry, curves, per_depth, per_mm, planes, dose):  # type: ignore[no-untyped-def] # pragma: no cover
    """Add Σₖ Dₖ(depth) · planeₖ(x, z) · (SAD/r)² to each point's dose.

    Depth doses `curves` (depths, components) and planes (n, m, components) are interpolated linearly.
    """
    nx, nz, components = planes.shape
    deepest = curves.shape[0] - 2
    # Compiled loops look whether a signed index counts from the end.
    flat_planes, flat_curves, more = planes.ravel(), curves.ravel(), np.uint64(components)
    for p in range(points.shape[0]):
        u, w, inverse_square = _seen(points[p, 0], points[p, 1], points[p, 2], geometry)
        i0, i1, s = _cell(u * per_mm, nx)
        j0, j1, t = _cell(w * per_mm, nz)
        d = depth[p] * per_depth
        layer = min(np.int64(d), deepest)
        d -= layer
        near, far = np.uint64((i0 * nz + j0) * components), np.uint64((i1 * nz + j0) * components)
        near_next, far_next = np.uint64((i0 * nz + j1) * components), np.uint64((i1 * nz + j1) * components)
        curve = np.uint64(layer * components)
        total = 0.0
        for k in range(more):
            low = flat_planes[near + k] + t * (flat_planes[near_next + k] - flat_planes[near + k])
            high = flat_planes[far + k] + t * (flat_planes[far_next + k] - flat_planes[far + k])
            share = flat_curves[curve + k] + d * (flat_curves[curve + more + k] - flat_curves[curve + k])
            total += share * (low + s * (high - low))
        dose[p] += inverse_square * total


@compiled(error_model="numpy")
def scatter(points, depth, geometry, curves, per_depth, per_mm, values, planes):  # type: ignore[no-untyped-def] # pragma: no cover
    """Apply the adjoint of `gather`: add each point's value to the planes."""
    nx, nz, components = planes.shape
    deepest = curves.shape[0] - 2
    for p in range(points.shape[0]):
        u, w, inverse_square = _seen(points[p, 0], points[p, 1], points[p, 2], geometry)
        i0, i1, s = _cell(u * per_mm, nx)
        j0, j1, t = _cell(w * per_mm, nz)
        d = depth[p] * per_depth
        layer = min(np.int64(d), deepest)
        d -= layer
        for k in range(components):
            share = curves[layer, k] + d * (curves[layer + 1, k] - curves[layer, k])
            value = values[p] * inverse_square * share
            planes[i0, j0, k] += value * (1 - s) * (1 - t)
            planes[i0, j1, k] += value * (1 - s) * t
            planes[i1, j0, k] += value * s * (1 - t)
            planes[i1, j1, k] += value * s * t
