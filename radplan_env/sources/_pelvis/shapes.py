"""Signed distances in mm (negative inside), and the operations that make organs out of them.

Shapes are evaluated on an open mesh of coordinates, so that a shape knows nothing of voxels and the same
anatomy can be sampled at any voxel size. The distances are exact for tubes and plates and first-order
accurate for the rest, which is what a margin of a few mm needs.

One seed must give one patient on every machine. Distances are float32 and made by operations that IEEE 754
rounds alike everywhere (+, -, *, /, sqrt); whatever differs in the last digit between processors (exp, tanh,
powers, matrix products) is done in float64 and rounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

Array = NDArray[np.floating[Any]]
"""Coordinates and distances."""

Triple = tuple[float, float, float]
Box = tuple[Triple, Triple]
"""Two opposite corners, (z, y, x) in mm."""


@dataclass(frozen=True)
class Points:
    """Positions in mm that broadcast to (Z, Y, X): as a rule an open mesh (Z, 1, 1), (1, Y, 1), (1, 1, X)."""

    z: Array
    y: Array
    x: Array

    @classmethod
    def mesh(cls, z: ArrayLike, y: ArrayLike, x: ArrayLike) -> Points:
        z, y, x = (np.asarray(axis, dtype=np.float32).ravel() for axis in (z, y, x))
        return cls(z[:, None, None], y[None, :, None], x[None, None, :])

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = np.broadcast_shapes(self.z.shape, self.y.shape, self.x.shape)
        return z, y, x

    def moved(self, z: float = 0.0, y: float = 0.0, x: float = 0.0) -> Points:
        """The same mesh seen from an origin at (z, y, x)."""
        return Points(self.z - np.float32(z), self.y - np.float32(y), self.x - np.float32(x))

    def mirrored(self) -> Points:
        """The same mesh with left and right exchanged."""
        return Points(self.z, self.y, -self.x)

    def folded(self) -> Points:
        """The mesh with both sides laid on the left (x positive): for shapes that are symmetric."""
        return Points(self.z, self.y, np.abs(self.x))

    def within(self, box: Box) -> tuple[tuple[slice, slice, slice], Points]:
        """The part of the mesh inside a box, and where in the mesh it lies."""
        z, y, x = (
            slice(*np.searchsorted(axis.ravel(), (lo, hi)).tolist())
            for axis, lo, hi in zip((self.z, self.y, self.x), *box, strict=True)
        )
        return (z, y, x), Points(self.z[z], self.y[:, y], self.x[:, :, x])


@dataclass(frozen=True)
class RandomField:
    """A smooth Gaussian random field of unit variance: a sum of plane waves with random directions.

    Its value at a position does not depend on the mesh, unlike filtered white noise.
    """

    wave_vectors: NDArray[np.float64]  # (N, 3), rad/mm, order (z, y, x)
    phases: NDArray[np.float64]  # (N,)

    @classmethod
    def draw(cls, rng: np.random.Generator, wavelengths_mm: tuple[float, float], waves: int = 24) -> RandomField:
        directions = rng.standard_normal((waves, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = rng.uniform(*wavelengths_mm, (waves, 1))
        return cls(directions * 2 * np.pi / lengths, rng.uniform(0, 2 * np.pi, waves))

    def __call__(self, points: Points) -> Array:
        # cos(a + b + c) on a mesh is the real part of an outer product: one matrix product for all waves.
        kz, ky, kx = self.wave_vectors.T
        along_z = np.exp(1j * (np.outer(points.z.ravel(), kz) + self.phases))
        along_y = np.exp(1j * np.outer(points.y.ravel(), ky))
        along_x = np.exp(1j * np.outer(kx, points.x.ravel()))
        plane = (along_z[:, None, :] * along_y[None, :, :]).reshape(-1, kz.size)
        waves = plane.real @ along_x.real - plane.imag @ along_x.imag
        field: Array = (waves * math.sqrt(2 / kz.size)).astype(np.float32)
        return field.reshape(points.shape)


def ellipsoid(z: ArrayLike, y: ArrayLike, x: ArrayLike, radii: Sequence[ArrayLike]) -> Array:
    """Distance to an ellipsoid at the origin; radii (z, y, x) may vary over the mesh, slowly."""
    az, ay, ax = (np.asarray(r, dtype=np.float32) for r in radii)
    pz, py, px = (np.asarray(p, dtype=np.float32) for p in (z, y, x))
    sz, sy, sx = pz / az, py / ay, px / ax
    tiny = np.float32(1e-6)  # at the very centre both lengths vanish
    level, slope = _length(sz, sy, sx) + tiny, _length(sz / az, sy / ay, sx / ax) + tiny
    distance: Array = level * (level - 1) / slope
    return distance


def ellipse(y: Array, x: Array, radii: Sequence[Array]) -> Array:
    """Distance in the plane to an ellipse at the origin; radii (y, x) may vary along z."""
    return ellipsoid(np.float32(0), y, x, (np.float32(1), *radii))


def tube(points: Points, path: ArrayLike, radii: ArrayLike) -> Array:
    """Distance to a tube around a polyline: `path` (n, 3) in (z, y, x), `radii` at its corners."""
    corners, widths = np.asarray(path, dtype=np.float64), np.asarray(radii, dtype=np.float32)
    distance = np.full(points.shape, np.inf, dtype=np.float32)
    for a, b, ra, rb in zip(corners[:-1], corners[1:], widths[:-1], widths[1:], strict=True):
        from_a = points.moved(*a)
        along = np.clip(_along(from_a, (b - a) / np.square(b - a).sum()), 0, 1)
        dz, dy, dx = (b - a).astype(np.float32)
        gap = _length(from_a.z - along * dz, from_a.y - along * dy, from_a.x - along * dx)
        np.minimum(distance, gap - (ra + along * (rb - ra)), out=distance)
    return distance


def plate(points: Points, corners: ArrayLike, thickness: float) -> Array:
    """Distance to a flat triangular plate with rounded edges; `corners` (3, 3) in (z, y, x)."""
    a, b, c = np.asarray(corners, dtype=np.float64)
    normal = _unit(np.cross(b - a, c - a))
    height = _along(points.moved(*a), normal)
    beyond_edge = np.zeros(points.shape, dtype=np.float32)
    for start, end in ((a, b), (b, c), (c, a)):
        outward = _unit(np.cross(end - start, normal))
        np.maximum(beyond_edge, _along(points.moved(*start), outward), out=beyond_edge)
    return _length(height, beyond_edge, np.float32(0)) - thickness / 2


def ball(points: Points, center: Sequence[float], radius: float) -> Array:
    """Distance to a ball with its centre at (z, y, x)."""
    p = points.moved(*center)
    return _length(p.z, p.y, p.x) - radius


def union(a: Array, b: Array, blend_mm: float = 0.0) -> Array:
    """Either shape; `blend_mm` fills the crease between them."""
    if blend_mm == 0:
        return np.minimum(a, b)
    overlap = np.maximum(blend_mm - np.abs(a - b), 0)
    joined: Array = np.minimum(a, b) - overlap * overlap / (4 * blend_mm)
    return joined


def intersection(a: Array, b: Array, blend_mm: float = 0.0) -> Array:
    """Both shapes; `blend_mm` rounds the edge between them."""
    joined: Array = -union(-a, -b, blend_mm)
    return joined


def redistanced(shape: Callable[[Points], Array], box: Box, spacing_mm: float = 1.5) -> Callable[[Points], Array]:
    """The true distance outside a shape that lies in a box, for margins wider than first order serves."""
    axes = [np.arange(a, b + spacing_mm, spacing_mm) for a, b in zip(*box, strict=True)]
    inner = shape(Points.mesh(*axes)).astype(np.float64)
    to_center, nearest = ndimage.distance_transform_edt(inner >= 0, spacing_mm, return_indices=True)
    # The nearest voxel centre inside lies below the surface by its own distance.
    field = to_center + inner[tuple(nearest)]

    def distance(points: Points) -> Array:
        values: Array = field
        for axis, at in enumerate((points.z, points.y, points.x)):
            index = np.clip((at.ravel() - axes[axis][0]) / spacing_mm, 0, axes[axis].size - 1.001)
            lower = index.astype(int)
            share = (index - lower).reshape([-1 if a == axis else 1 for a in range(3)])
            values = values.take(lower, axis) * (1 - share) + values.take(lower + 1, axis) * share
        return np.asarray(values, dtype=np.float32)

    return distance


def rotated(z: Array, y: Array, degrees: float) -> tuple[Array, Array]:
    """Coordinates (z, y) in a frame whose top leans back by an angle."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return z * cos + y * sin, y * cos - z * sin


def either_side(coordinate: Array, negative: float, positive: float) -> Array:
    """One value where a coordinate is negative, another where it is positive."""
    return np.where(coordinate < 0, np.float32(negative), np.float32(positive))


def _length(z: Array, y: Array, x: Array | np.float32) -> Array:
    length: Array = np.sqrt(z * z + y * y + x * x)
    return length


def _along(points: Points, direction: NDArray[np.float64]) -> Array:
    z, y, x = direction.astype(np.float32)
    projection: Array = points.z * z + points.y * y + points.x * x
    return projection


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / math.sqrt(np.square(vector).sum())
