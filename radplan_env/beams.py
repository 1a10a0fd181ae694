"""Beams and their bixels: the geometry of K's columns.

Beam's eye view, from the source: x across the beam, y along it away from the source, z towards the patient's head; the
gantry turns about z (IEC 61217, head first supine). The collimator turns x and z about y. Bixels are squares in the
plane through the isocentre, on a lattice along the collimator's axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radplan_env.grid import Triple

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Beam:
    """One beam.

    Parameters
    ----------
    gantry_deg : float
    isocentre_mm : tuple of float
        (z, y, x).
    sad_mm : float
        Source-axis distance.
    collimator_deg : float
        Turns the collimator's x axis from the gantry's x towards its z axis.
    couch_deg : float
        Only 0, a coplanar beam, can be computed so far.

    Raises
    ------
    ValueError
        If a number is not finite, the distance not positive or the couch turned.
    """

    gantry_deg: float
    isocentre_mm: Triple
    sad_mm: float
    collimator_deg: float = 0.0
    couch_deg: float = 0.0

    def __post_init__(self) -> None:
        numbers = (self.gantry_deg, *self.isocentre_mm, self.sad_mm, self.collimator_deg, self.couch_deg)
        if not np.isfinite(numbers).all() or self.sad_mm <= 0:
            raise ValueError(f"a beam needs finite angles and positions and a positive distance, got {numbers}")
        if self.couch_deg != 0:
            raise ValueError(f"beams are coplanar: the couch angle must be 0 degrees, got {self.couch_deg:g}")

    @property
    def cos_sin(self) -> tuple[float, float]:
        """Cosine and sine of the gantry angle."""
        angle = self.gantry_deg / 180 * math.pi
        return math.cos(angle), math.sin(angle)

    def from_source(self, z_mm: Array, y_mm: Array, x_mm: Array) -> tuple[Array, Array, Array]:
        """Return patient coordinates as beam's eye view coordinates (x, y, z) from the source."""
        cos, sin = self.cos_sin
        z0, y0, x0 = self.isocentre_mm
        x, y = x_mm - x0, y_mm - y0
        return cos * x + sin * y, cos * y - sin * x + self.sad_mm, z_mm - z0

    def onto_collimator(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Return beam's eye view coordinates (x, z) along the collimator's axes."""
        cos, sin = self._collimator_cos_sin
        return cos * x + sin * z, cos * z - sin * x

    def from_collimator(self, x: Array, z: Array) -> tuple[Array, Array]:
        """Return coordinates (x, z) along the collimator's axes as beam's eye view coordinates."""
        cos, sin = self._collimator_cos_sin
        return cos * x - sin * z, cos * z + sin * x

    @property
    def _collimator_cos_sin(self) -> tuple[float, float]:
        angle = self.collimator_deg / 180 * math.pi
        return math.cos(angle), math.sin(angle)


@dataclass(frozen=True, eq=False)
class Bixels:
    """Beam, place and width of each column of K.

    Parameters
    ----------
    beam : ndarray of int, shape (bixels,)
        Index of the beam each bixel belongs to.
    place : ndarray of int, shape (bixels, 2)
        Place (x, z) on its beam's lattice.
    width_mm : float
        Of a bixel in the isocentre plane.
    offset : tuple of float
        How far (x, z) the lattice is moved off the central axis, in bixel widths. 0 centres a bixel on the axis, 0.5
        puts an edge on it.

    Raises
    ------
    ValueError
        If the arrays do not belong together or a bixel comes twice.
    """

    beam: NDArray[np.int64]
    place: NDArray[np.int64]
    width_mm: float
    offset: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if self.beam.ndim != 1 or self.place.shape != (self.beam.size, 2):
            raise ValueError(
                f"every bixel needs a beam and a place (x, z), got shapes {self.beam.shape} and {self.place.shape}"
            )
        if len(np.unique(np.column_stack([self.beam, self.place]), axis=0)) < len(self):
            raise ValueError("two bixels of a beam share a place")

    def __len__(self) -> int:
        return self.beam.size

    @property
    def centres_mm(self) -> Array:
        """Centres (x, z) in the isocentre plane, along the collimator's axes, shape (bixels, 2)."""
        centres_mm: Array = self.width_mm * (self.place + np.array(self.offset))
        return centres_mm

    @property
    def edges_mm(self) -> Array:
        """Edges in the isocentre plane, shape (bixels, 2, 2): axis (x, z), then lower and upper edge."""
        half = self.width_mm / 2
        edges_mm: Array = self.centres_mm[:, :, None] + np.array([-half, half])
        return edges_mm

    def of_beam(self, beam: int) -> NDArray[np.int64]:
        """Return the columns of a beam, in ascending order."""
        return np.flatnonzero(self.beam == beam)

    @property
    def order(self) -> NDArray[np.int64]:
        """Columns by beam, then x, then z."""
        order: NDArray[np.int64] = np.lexsort((self.place[:, 1], self.place[:, 0], self.beam))
        return order

    def neighbours(self) -> NDArray[np.int64]:
        """Return pairs of columns of one beam that share an edge, shape (pairs, 2)."""
        columns = {place: column for column, place in enumerate(self._places())}
        pairs = [
            (column, columns[beside])
            for (beam, x, z), column in columns.items()
            for beside in ((beam, x, z + 1), (beam, x + 1, z))
            if beside in columns
        ]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def _places(self) -> list[tuple[int, int, int]]:
        return list(map(tuple, np.column_stack([self.beam, self.place]).tolist()))
