"""The three planes of a case, turned the way clinics look at them.

Axial slices are seen from the feet: anterior at the top, the patient's right on the left. Coronal and
sagittal slices have the head up, with the patient's right, respectively anterior, on the left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from radplan_env.case import Case
from radplan_env.grid import Grid
from radplan_env.render.colors import drawing_order

MARGIN_MM = 30.0
"""What is shown around the structures, as far as the body goes."""


class Edges(NamedTuple):
    """Orientation letters at the edges of a picture."""

    top: str
    bottom: str
    left: str
    right: str


@dataclass(frozen=True)
class Plane:
    """One slice orientation at one voxel index.

    Parameters
    ----------
    name
        "Axial", "Coronal" or "Sagittal".
    axis, row_axis, column_axis
        Array axes (of z, y, x) that the slice is taken at, and that run down and across the picture.
    upward
        Whether the picture's rows run against the array axis: the head is at the highest z, and up.
    edges
        Orientation letters.
    grid
        Grid of the volumes to slice.
    index
        Voxel index along `axis`.
    window
        Rows and columns of the picture worth showing: the structures with a margin, as far as the body goes.
    """

    name: str
    axis: int
    row_axis: int
    column_axis: int
    upward: bool
    edges: Edges
    grid: Grid
    index: int
    window: tuple[slice, slice]

    @property
    def position_mm(self) -> float:
        """Patient coordinate of the slice along `axis`."""
        return self.grid.origin_mm[self.axis] + self.index * self.grid.spacing_mm[self.axis]

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between the picture's rows, and between its columns."""
        return self.grid.spacing_mm[self.row_axis], self.grid.spacing_mm[self.column_axis]

    def take(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Return the slice of a (z, y, x) volume as a picture: row 0 at the top, column 0 on the left."""
        picture: NDArray[Any] = np.take(volume, self.index, axis=self.axis)
        return picture[::-1] if self.upward else picture

    def around(self, mask: NDArray[np.bool_], margin_mm: float) -> Plane:
        """Return the plane with a window on a structure (mask of the whole volume) and a margin."""
        shadow = np.any(mask, axis=self.axis)
        spans = _bounds(shadow[::-1] if self.upward else shadow)
        margins = [round(margin_mm / step) for step in self.spacing_mm]
        limits = [slice(0, n) for n in shadow.shape]
        rows, columns = (_widened(*each) for each in zip(spans, limits, margins, strict=True))
        return replace(self, window=(rows, columns))

    def rows_mm(self) -> NDArray[np.float64]:
        """Patient coordinates of the picture's rows, from the top."""
        rows = self.grid.coordinates_mm(self.row_axis)
        return rows[::-1] if self.upward else rows

    def columns_mm(self) -> NDArray[np.float64]:
        """Patient coordinates of the picture's columns, from the left."""
        return self.grid.coordinates_mm(self.column_axis)


def primary_target(case: Case) -> str | None:
    """Return the target with the highest dose in its name, PTV before CTV and GTV; None if there is none."""
    return next(iter(drawing_order(case.targets)), None)


def planes_of(case: Case) -> tuple[Plane, Plane, Plane]:
    """Return the axial, coronal and sagittal plane through the primary target's centroid (else the body's).

    Where the target has no voxel in a plane through its centroid, the nearest plane that has one is taken.
    """
    centre = _centre(case.structures[primary_target(case) or "Body"])
    body = case.structures["Body"]
    shown = body
    if case.targets:
        shown = np.logical_or.reduce([mask for name, mask in case.structures.items() if name != "Body"])

    def plane(name: str, axis: int, upward: bool, edges: Edges) -> Plane:
        row_axis, column_axis = (a for a in range(3) if a != axis)
        margins = [round(MARGIN_MM / case.grid.spacing_mm[a]) for a in (row_axis, column_axis)]
        spans = _bounds(np.any(shown, axis=axis)), _bounds(np.take(body, centre[axis], axis=axis))
        rows, columns = (_widened(*each) for each in zip(*spans, margins, strict=True))
        if upward:
            n_rows = case.grid.shape[row_axis]
            rows = slice(n_rows - rows.stop, n_rows - rows.start)
        return Plane(name, axis, row_axis, column_axis, upward, edges, case.grid, centre[axis], (rows, columns))

    return (
        plane("Axial", 0, False, Edges("A", "P", "R", "L")),
        plane("Coronal", 1, True, Edges("S", "I", "R", "L")),
        plane("Sagittal", 2, True, Edges("S", "I", "A", "P")),
    )


def axial_planes(case: Case, count: int) -> list[Plane]:
    """Return axial planes spread evenly over the primary target (else the body), from its feet end to its head end.

    As many as the target has slices, if that is fewer than `count`; the target is cut by every one of them.
    """
    mask = case.structures[primary_target(case) or "Body"]
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    # The middles of `count` equal parts: the very first and last slice of a target show next to nothing.
    parts = min(count, len(slices))
    middles = ((np.arange(parts) + 0.5) / parts * len(slices)).astype(int)
    axial = planes_of(case)[0]
    return [replace(axial, index=int(slices[i])) for i in middles]


def _bounds(mask: NDArray[Any]) -> tuple[slice, slice]:
    """Return the rows and columns that a 2D mask occupies."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _widened(span: slice, limit: slice, margin: int) -> slice:
    """Widen a span by a margin, as far as the limit goes."""
    return slice(max(span.start - margin, limit.start), min(span.stop + margin, limit.stop))


def _centre(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    def along(axis: int) -> int:
        counts = np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis))
        centroid = np.average(np.arange(counts.size), weights=counts)
        occupied = np.flatnonzero(counts)
        return int(occupied[np.argmin(np.abs(occupied - centroid))])

    return along(0), along(1), along(2)
