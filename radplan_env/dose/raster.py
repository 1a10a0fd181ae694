"""Fluence of one beam as rectangles in the isocentre plane, and its way onto a lattice and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel
from radplan_env.beam_models.convolution import Places
from radplan_env.beam_models.lattice import Reach
from radplan_env.beams import Bixels

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Raster:
    """Fluence that is constant in the rectangles between lines of x and lines of z.

    Parameters
    ----------
    x_mm, z_mm : ndarray, shape (n + 1,), (m + 1,)
        Ascending lines in the isocentre plane, along the collimator's axes.
    fluence : ndarray, shape (n, m)

    Raises
    ------
    ValueError
        If the lines do not ascend, the shapes do not belong together, or a fluence is negative or not finite.
    """

    x_mm: Array
    z_mm: Array
    fluence: Array

    def __post_init__(self) -> None:
        for name in ("x_mm", "z_mm", "fluence"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=float))
        for name, lines in (("x_mm", self.x_mm), ("z_mm", self.z_mm)):
            if lines.ndim != 1 or lines.size < 2 or not np.isfinite(lines).all() or (np.diff(lines) <= 0).any():
                raise ValueError(f"a raster's {name} must be two ascending numbers or more, got {lines}")
        if self.fluence.shape != (self.x_mm.size - 1, self.z_mm.size - 1):
            raise ValueError(
                f"a raster of {self.x_mm.size} by {self.z_mm.size} lines needs fluence of shape "
                f"{(self.x_mm.size - 1, self.z_mm.size - 1)}, got {self.fluence.shape}"
            )
        check_fluence(self.fluence, "a raster's fluence")

    @property
    def reach_mm(self) -> float:
        """How far from the axis the raster goes, along x or z."""
        return float(max(abs(self.x_mm).max(), abs(self.z_mm).max()))


def aperture(
    left_mm: Array,
    right_mm: Array,
    boundaries_mm: Array,
    model: BeamModel,
    jaws_mm: tuple[float, float, float, float],
    *,
    left_end_mm: Array | None = None,
    right_end_mm: Array | None = None,
) -> Raster:
    """Return the mean fluence of an aperture per unit given: 1 in the open, the leaves' transmission elsewhere.

    Parameters
    ----------
    left_mm, right_mm : ndarray, shape (pairs,)
        Leaf ends along x in the isocentre plane.
    boundaries_mm : ndarray, shape (pairs + 1,)
        Of the leaf pairs along z.
    model : BeamModel
        Whose leaves let some fluence through.
    jaws_mm : tuple of float
        (x1, x2, z1, z2); nothing passes outside.
    left_end_mm, right_end_mm : ndarray, shape (pairs,), optional
        Where the leaves stand at the end, if they move evenly while the fluence is given.

    Returns
    -------
    Raster
        Of cells of the lattice along x, each with the exact share of its area and time, and of leaf pairs along z.

    Raises
    ------
    ValueError
        If leaves or jaws overlap or the shapes do not belong together.
    """
    left, right, boundaries = (np.asarray(v, dtype=float) for v in (left_mm, right_mm, boundaries_mm))
    left_end, right_end = (
        start if end is None else np.asarray(end, dtype=float)
        for start, end in ((left, left_end_mm), (right, right_end_mm))
    )
    x1, x2, z1, z2 = jaws_mm
    together = all(ends.shape == (boundaries.size - 1,) for ends in (left, right, left_end, right_end))
    if not together or x1 >= x2 or z1 >= z2 or (left > right).any() or (left_end > right_end).any():
        raise ValueError("an aperture needs left ends up to right ends, one more boundary than pairs, and open jaws")
    lines = np.arange(np.floor(x1), np.ceil(x2) + 1) + 0.5  # where cells of the lattice meet
    x = np.concatenate([[x1], lines[(lines > x1) & (lines < x2)], [x2]])
    z = np.unique(np.clip(np.concatenate([boundaries, [z1, z2]]), z1, z2))
    pair = np.searchsorted(boundaries, (z[:-1] + z[1:]) / 2) - 1
    covered = (pair >= 0) & (pair < left.size)
    pair = np.clip(pair, 0, left.size - 1)
    uncovered = _passed(x, right[pair], right_end[pair]) - _passed(x, left[pair], left_end[pair])
    opening = np.where(covered, uncovered / np.diff(x)[:, None], 0)
    return Raster(x, z, np.clip(opening + (1 - opening) * model.mlc_transmission, 0, 1))


def _passed(x: Array, start: Array, end: Array) -> Array:
    """Length of each cell left of an edge that moves evenly from start to end, averaged; (cells, edges)."""
    low, width = x[:-1, None], np.diff(x)[:, None]

    def within(edge: Array) -> Array:
        clipped: Array = np.clip(edge - low, 0, width)
        return clipped

    def integral(edge: Array) -> Array:
        area: Array = within(edge) ** 2 / 2 + width * np.maximum(edge - low - width, 0)
        return area

    travel = end - start
    with np.errstate(divide="ignore", invalid="ignore"):
        moving = (integral(end) - integral(start)) / travel
    passed: Array = np.where(abs(travel) > 1e-9, moving, within((start + end) / 2))
    return passed


def check_fluence(fluence: Array, what: str) -> None:
    """Raise ValueError if a fluence is not finite or negative."""
    if bad := int(np.count_nonzero(~np.isfinite(fluence))):
        raise ValueError(f"{what} holds {bad} values that are NaN or infinite")
    if (lowest := float(fluence.min(initial=0.0))) < 0:
        raise ValueError(f"{what} is negative somewhere ({lowest:g}): no beam takes dose away")


class Shading:
    """The linear map from a raster's fluence to the mean fluence of each lattice cell, with the model's weight.

    Attributes
    ----------
    places : pair of ndarray of int
        Of the cells, along x and z.
    """

    def __init__(self, x_mm: Array, z_mm: Array, model: BeamModel, spacing_mm: float) -> None:
        self._x, x_place = _shares(x_mm, spacing_mm)
        self._z, z_place = _shares(z_mm, spacing_mm)
        self._weigh(model, (x_place, z_place), spacing_mm)

    @classmethod
    def of_bixels(cls, x_mm: Array, z_mm: Array, model: BeamModel, spacing_mm: float) -> Shading:
        """Return the map from bixels centred at (x, z) to points on the lattice, shared among the nearest ones."""
        shading = cls.__new__(cls)
        shading._x, x_place = _points(x_mm, spacing_mm)
        shading._z, z_place = _points(z_mm, spacing_mm)
        shading._weigh(model, (x_place, z_place), spacing_mm)
        return shading

    def _weigh(self, model: BeamModel, places: Places, spacing_mm: float) -> None:
        self.places = places
        x, z = (place * spacing_mm for place in places)
        self._weight = model.weight(np.hypot(x[:, None], z))

    @property
    def reach(self) -> Reach:
        """How far the cells lie from the axis, in places."""
        along_x, along_z = (int(abs(place).max()) for place in self.places)
        return along_x, along_z

    def cells(self, fluence: Array) -> Array:
        """Return the cells (a, b) of a fluence (n, m)."""
        weighted: Array = self._weight * (self._x @ fluence @ self._z.T)
        return weighted

    def back(self, cells: Array) -> Array:
        """Apply the adjoint: return (n, m) of cells (a, b)."""
        gathered: Array = self._x.T @ (self._weight * cells) @ self._z
        return gathered


def _shares(lines: Array, spacing: float) -> tuple[Array, NDArray[np.int64]]:
    """Share of each cell (rows) that each interval between lines (columns) covers, and the cells' places."""
    places = np.arange(round(lines[0] / spacing) - 1, round(lines[-1] / spacing) + 2)
    low, high = ((places + side)[:, None] * spacing for side in (-0.5, 0.5))
    overlap = np.minimum(high, lines[1:]) - np.maximum(low, lines[:-1])
    return np.maximum(overlap, 0.0) / spacing, places


def _points(centres: Array, spacing: float) -> tuple[Array, NDArray[np.int64]]:
    """Share of each lattice point (rows) in each centre (columns), by linear interpolation, and the points' places."""
    places = np.arange(np.floor(centres.min() / spacing), np.ceil(centres.max() / spacing) + 1).astype(np.int64)
    return np.maximum(1 - abs(places[:, None] - centres / spacing), 0.0), places


@dataclass(frozen=True, eq=False)
class BixelRows:
    """The bixels of one beam as a rectangle of rows and columns."""

    columns: NDArray[np.int64]
    place: tuple[NDArray[np.int64], NDArray[np.int64]]
    x_mm: Array
    z_mm: Array

    @classmethod
    def of(cls, bixels: Bixels, beam: int) -> BixelRows:
        columns = bixels.of_beam(beam)
        low = bixels.place[columns].min(axis=0)
        size = bixels.place[columns].max(axis=0) - low + 1
        x, z = (bixels.width_mm * (low[a] + np.arange(size[a]) + bixels.offset[a]) for a in range(2))
        place = bixels.place[columns] - low
        return cls(columns, (place[:, 0], place[:, 1]), x, z)

    def shading(self, width_mm: float, model: BeamModel, spacing_mm: float) -> Shading:
        if model.kernels.pencils_only:
            return Shading.of_bixels(self.x_mm, self.z_mm, model, spacing_mm)
        x, z = (np.append(centres - width_mm / 2, centres[-1] + width_mm / 2) for centres in (self.x_mm, self.z_mm))
        return Shading(x, z, model, spacing_mm)

    def rectangle(self, fluence: Array) -> Array:
        filled = np.zeros((self.x_mm.size, self.z_mm.size))
        filled[self.place] = fluence[self.columns]
        return filled
