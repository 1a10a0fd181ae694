"""Regular voxel grids in patient coordinates, and resampling between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Triple = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Grid:
    """A regular grid of voxels whose axes run inferior→superior, anterior→posterior, right→left.

    Every triple is in array order (z, y, x); positions are DICOM patient coordinates (LPS).

    Parameters
    ----------
    shape
        Number of voxels.
    spacing_mm
        Distance between voxel centres.
    origin_mm
        Centre of voxel ``[0, 0, 0]``.

    Raises
    ------
    ValueError
        If a triple has not three entries, or a size or spacing is not positive and finite.
    """

    shape: tuple[int, int, int]
    spacing_mm: Triple
    origin_mm: Triple

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _triple("shape", self.shape, int))
        object.__setattr__(self, "spacing_mm", _triple("spacing_mm", self.spacing_mm, float))
        object.__setattr__(self, "origin_mm", _triple("origin_mm", self.origin_mm, float))
        if min(self.shape) < 1:
            raise ValueError(f"a grid needs at least one voxel along every axis, got shape {self.shape}")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing_mm):
            raise ValueError(f"voxel size must be positive and finite, got {self.spacing_mm} mm")
        if not np.isfinite(self.origin_mm).all():
            raise ValueError(f"grid origin must be finite, got {self.origin_mm} mm")

    @property
    def voxel_cc(self) -> float:
        """Volume of one voxel in cc."""
        return float(np.prod(self.spacing_mm)) / 1000.0

    @property
    def extent_mm(self) -> Triple:
        """Edge to edge size along each axis."""
        z, y, x = (n * s for n, s in zip(self.shape, self.spacing_mm, strict=True))
        return z, y, x

    def coordinates_mm(self, axis: int) -> NDArray[np.float64]:
        """Voxel centres along one axis."""
        return self.origin_mm[axis] + self.spacing_mm[axis] * np.arange(self.shape[axis], dtype=np.float64)

    def voxel_of(self, position_mm: Triple) -> tuple[int, int, int]:
        """Index of the voxel whose centre is nearest to a point (z, y, x)."""
        z, y, x = (
            min(max(round((at - origin) / step), 0), size - 1)
            for at, origin, step, size in zip(position_mm, self.origin_mm, self.spacing_mm, self.shape, strict=True)
        )
        return z, y, x

    def nearest(self, other: Grid) -> NDArray[np.int64]:
        """Flat index of the voxel nearest to each voxel centre of another grid, shape ``other.shape``."""
        index = [
            np.clip(np.rint((other.coordinates_mm(axis) - self.origin_mm[axis]) / self.spacing_mm[axis]), 0, n - 1)
            for axis, n in enumerate(self.shape)
        ]
        z, y, x = (each.astype(np.int64) for each in index)
        flat: NDArray[np.int64] = np.ravel_multi_index(np.ix_(z, y, x), self.shape)
        return flat

    def coarsened(self, spacing_mm: float) -> Grid:
        """The isotropic grid of this spacing that covers the same extent, centred on it."""
        tolerance = 1e-6
        shape = tuple(int(np.ceil(e / spacing_mm - tolerance)) for e in self.extent_mm)
        origin = tuple(
            o + (n - 1) * s / 2 - (m - 1) * spacing_mm / 2
            for o, n, s, m in zip(self.origin_mm, self.shape, self.spacing_mm, shape, strict=True)
        )
        return Grid(shape, (spacing_mm,) * 3, origin)  # type: ignore[arg-type]

    def part(self, box: Box) -> Grid:
        """Return the grid of some of the voxels, given by slices of their indices along z, y and x."""
        origin = tuple(o + s * side.start for o, s, side in zip(self.origin_mm, self.spacing_mm, box, strict=True))
        return Grid(tuple(side.stop - side.start for side in box), self.spacing_mm, origin)

    def box_around(self, mask: NDArray[np.bool_], source: Grid) -> Box | None:
        """Return slices (z, y, x) of the voxels that a mask on another grid may touch; None for an empty mask."""
        if not mask.any():
            return None
        (found,) = ndimage.find_objects(mask.view(np.uint8))
        box = []
        for axis, side in enumerate(found):
            low, high = (source.origin_mm[axis] + source.spacing_mm[axis] * i for i in (side.start - 1, side.stop))
            first = math.floor((low - self.origin_mm[axis]) / self.spacing_mm[axis])
            last = math.ceil((high - self.origin_mm[axis]) / self.spacing_mm[axis])
            box.append(slice(min(max(first, 0), self.shape[axis]), max(min(last + 1, self.shape[axis]), 0)))
        return tuple(box) if all(side.stop > side.start for side in box) else None  # type: ignore[return-value]


def resample(array: NDArray[Any], source: Grid, target: Grid, *, order: int = 1, outside: float = 0.0) -> NDArray[Any]:
    """Sample an array given on one grid at the voxel centres of another.

    Parameters
    ----------
    array
        Values on `source`. A boolean mask is interpolated as an occupancy and cut at one half; of the voxels
        that are exactly half full every second one is inside, so that the volume is kept, and a mask that holds
        another still does.
    order
        Spline order; 1 is linear, 0 nearest neighbour.
    outside
        Value of voxels whose centre lies beyond the edges of `source`.

    Returns
    -------
    ndarray
        float32 of ``target.shape``; bool for a boolean `array`.

    Raises
    ------
    ValueError
        If `array` does not have the shape of `source`.
    """
    if array.shape != source.shape:
        raise ValueError(f"array has shape {array.shape}, its grid {source.shape}")
    if source == target:
        return array.copy() if array.dtype == bool else array.astype(np.float32)
    if array.dtype == bool and order <= 1 and not outside:
        return _resampled_mask(array, source, target, order)
    sampled = _sampled(array, source, target, order, outside)
    return _occupied(sampled, (0, 0, 0)) if array.dtype == bool else sampled


def _resampled_mask(mask: NDArray[np.bool_], source: Grid, target: Grid, order: int) -> NDArray[np.bool_]:
    """Resample a mask in the box that it fills."""
    result = np.zeros(target.shape, dtype=bool)
    if (box := target.box_around(mask, source)) is not None:
        occupancy = _sampled(mask, source, target.part(box), order, 0.0)
        result[box] = _occupied(occupancy, tuple(side.start for side in box))
    return result


def _sampled(array: NDArray[Any], source: Grid, target: Grid, order: int, outside: float) -> NDArray[np.float32]:
    scale = np.divide(target.spacing_mm, source.spacing_mm)
    offset = np.subtract(target.origin_mm, source.origin_mm) / source.spacing_mm
    # mode="nearest" extends the outermost half voxel; what lies beyond it is set to `outside` below.
    sampled: NDArray[np.float32] = ndimage.affine_transform(  # type: ignore[call-overload]  # stubs want a literal order
        array.astype(np.float32), scale, offset, target.shape, np.float32, order, mode="nearest"
    )
    for axis in range(3):
        index = offset[axis] + scale[axis] * np.arange(target.shape[axis])
        beyond = (index < -0.5 - 1e-6) | (index > source.shape[axis] - 0.5 + 1e-6)
        np.moveaxis(sampled, axis, 0)[beyond] = outside
    return sampled


_TIE = 1e-4
_R3 = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)


def _occupied(occupancy: NDArray[np.float32], first: Sequence[int]) -> NDArray[np.bool_]:
    """Voxels more than half full, and every second one of the others that are half full.

    Which, says the additive sequence R3 (Roberts 2018, extremelearning.com.au), which is spread evenly along every
    row, diagonal and plane of voxels; a checkerboard is constant along diagonals. `first` is the index of the
    occupancy's first voxel on its grid.
    """
    inside = occupancy > 0.5
    ties = np.nonzero(np.abs(occupancy - 0.5) < _TIE)
    inside[ties] = sum((index + start) * step for index, start, step in zip(ties, first, _R3, strict=True)) % 1.0 < 0.5
    return inside


def _triple(name: str, values: Sequence[Any], kind: type) -> tuple[Any, Any, Any]:
    if len(values) != 3:
        raise ValueError(f"{name} needs three entries (z, y, x), got {tuple(values)}")
    z, y, x = (kind(v) for v in values)
    return z, y, x
