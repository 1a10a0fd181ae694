"""A small picture of a plan, fast enough for every step of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.render.colors import (
    WASH_FROM_PERCENT,
    WASH_TO_PERCENT,
    dose_lut,
    drawing_order,
    rgb,
    soft_tissue,
    structure_colors,
)
from radplan_env.render.inputs import check_prescription
from radplan_env.render.planes import Plane, planes_of

IMAGE_SIZE = (128, 384)
WASH_OPACITY = np.float32(0.5)
RIM_MM = 5.0


class CaseImage:
    """Axial, coronal and sagittal plane of one case side by side; only the dose changes between pictures.

    Parameters
    ----------
    case : Case
    prescription_gy : float
        Prescription of the primary target, Gy; the dose is washed in from 10 % of it upwards.
    size : tuple of int
        Height and width of the picture in pixels; the width is shared by three tiles.
    dose_grid : Grid, optional
        Grid of the doses to come; the CT's by default.

    Raises
    ------
    ValueError
        If the prescription is not positive, or the size not positive with a width divisible by three.
    """

    def __init__(
        self,
        case: Case,
        prescription_gy: float,
        size: tuple[int, int] = IMAGE_SIZE,
        dose_grid: Grid | None = None,
    ) -> None:
        height, width = size
        if height < 1 or width < 3 or width % 3:
            raise ValueError(f"size must be (height, width) with a width divisible by three, got {size}")
        check_prescription(prescription_gy)
        self.size = (height, width)
        self.dose_grid = dose_grid or case.grid
        self._percent_per_gy = 100.0 / prescription_gy
        tiles = [_tile(case, plane, (height, width // 3)) for plane in planes_of(case)]
        self._samplers = [tile.sampler(self.dose_grid) for tile in tiles]
        self._base = np.concatenate([tile.grey() for tile in tiles], axis=1)[..., None].repeat(3, axis=2)
        self._body = np.concatenate([tile.inside("Body") for tile in tiles], axis=1)
        self._lines, self._line_colors = _contours(case, tiles)

    def render(self, dose_gy: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the picture of a dose.

        Parameters
        ----------
        dose_gy : ndarray, shape (z, y, x)
            Total dose on `dose_grid`, Gy.

        Returns
        -------
        ndarray of uint8, shape (height, width, 3)

        Raises
        ------
        ValueError
            If the dose is not on `dose_grid`.
        """
        if dose_gy.shape != self.dose_grid.shape:
            raise ValueError(f"dose_gy has shape {dose_gy.shape}, its grid {self.dose_grid.shape}")
        percent = np.concatenate([sampler.sample(dose_gy) for sampler in self._samplers], axis=1)
        percent *= self._percent_per_gy
        picture = self._base.copy()
        washed = (percent >= WASH_FROM_PERCENT) & self._body
        lut = dose_lut()
        fraction = (percent[washed] - WASH_FROM_PERCENT) / (WASH_TO_PERCENT - WASH_FROM_PERCENT)
        shade = lut[np.rint(np.minimum(fraction, 1) * (len(lut) - 1)).astype(np.intp)]
        picture[washed] = (1 - WASH_OPACITY) * picture[washed] + WASH_OPACITY * shade
        picture[self._lines] = self._line_colors
        pixels: NDArray[np.uint8] = np.rint(255 * picture).astype(np.uint8)
        return pixels


def observation_image(
    case: Case, dose_gy: NDArray[Any], *, prescription_gy: float, size: tuple[int, int] = IMAGE_SIZE
) -> NDArray[np.uint8]:
    """Return the picture of one dose on the CT grid; see `CaseImage`, which is faster for many."""
    return CaseImage(case, prescription_gy, size).render(dose_gy)


@dataclass(frozen=True)
class _Sampler:
    """Linear interpolation of one plane, as a matrix on either side of the slice."""

    axis: int
    index: int
    rows: NDArray[np.float32]
    columns: NDArray[np.float32]

    def sample(self, volume: NDArray[Any]) -> NDArray[np.float32]:
        return self.resize(self.take(volume))

    def take(self, volume: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(np.take(volume, self.index, axis=self.axis), np.float32)

    def resize(self, section: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(self.rows @ section @ self.columns.T, np.float32)


@dataclass(frozen=True)
class _Tile:
    """One plane of a case with the patient coordinates (mm) of its pixels' rows and columns."""

    case: Case
    plane: Plane
    rows_mm: NDArray[np.float64]
    columns_mm: NDArray[np.float64]

    def sampler(self, grid: Grid) -> _Sampler:
        plane = self.plane
        index = int(np.argmin(np.abs(grid.coordinates_mm(plane.axis) - plane.position_mm)))
        return _Sampler(
            plane.axis,
            index,
            _interpolation(self.rows_mm, grid.coordinates_mm(plane.row_axis)),
            _interpolation(self.columns_mm, grid.coordinates_mm(plane.column_axis)),
        )

    def grey(self) -> NDArray[np.float32]:
        """Return the CT in the soft-tissue window, 0..1."""
        sampler = self.sampler(self.case.grid)
        grey: NDArray[np.float32] = np.clip(sampler.resize(soft_tissue(sampler.take(self.case.ct_hu))), 0, 1)
        return grey

    def inside(self, name: str) -> NDArray[np.bool_]:
        """Return the pixels of a structure's section."""
        return self.sampler(self.case.grid).sample(self.case.structures[name]) >= 0.5

    def outline(self, name: str) -> NDArray[np.bool_]:
        """Return the outermost pixels of a structure's section."""
        inside = np.pad(self.inside(name), 1)
        core = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
        return inside[1:-1, 1:-1] & ~core


def _tile(case: Case, plane: Plane, size: tuple[int, int]) -> _Tile:
    """Fit the plane's window into a tile without distortion."""
    ends = [c[span][[0, -1]] for c, span in zip((plane.rows_mm(), plane.columns_mm()), plane.window, strict=True)]
    extents = [
        abs(last - first) + step + 2 * RIM_MM for (first, last), step in zip(ends, plane.spacing_mm, strict=True)
    ]
    mm_per_pixel = max(extent / pixels for extent, pixels in zip(extents, size, strict=True))
    down, across = ((np.arange(n) - (n - 1) / 2) * mm_per_pixel for n in size)
    return _Tile(case, plane, ends[0].mean() + (-down if plane.upward else down), ends[1].mean() + across)


def _interpolation(positions_mm: NDArray[np.float64], centres_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return linear interpolation weights, shape (positions, voxels), zero beyond the grid.

    The kernel is a tent as wide as the coarser of the two spacings: a coarse picture averages voxels instead
    of skipping them.
    """
    spacing = centres_mm[1] - centres_mm[0] if len(centres_mm) > 1 else np.inf
    step = abs(positions_mm[1] - positions_mm[0]) if len(positions_mm) > 1 else 0.0
    width = max(spacing, step)
    weights = np.clip(1 - np.abs(positions_mm[:, None] - centres_mm) / width, 0, None)
    total = weights.sum(axis=1, keepdims=True)
    beyond = (positions_mm < centres_mm[0] - spacing / 2) | (positions_mm > centres_mm[-1] + spacing / 2)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    weights[beyond] = 0
    return np.asarray(weights, np.float32)


def _contours(case: Case, tiles: list[_Tile]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return the pixels that contours cover, and their colours, shape (pixels, 3); targets lie on top."""
    colors = structure_colors(case.structures)
    picture = np.full((len(tiles[0].rows_mm), 3 * len(tiles[0].columns_mm), 3), np.nan, np.float32)
    for name in reversed(drawing_order(case.structures)):
        picture[np.concatenate([tile.outline(name) for tile in tiles], axis=1)] = rgb(colors[name])
    lines = ~np.isnan(picture[..., 0])
    return lines, picture[lines]
