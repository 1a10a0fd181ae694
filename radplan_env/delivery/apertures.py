"""Apertures: where the leaves stand at every control point, and the monitor units between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam
from radplan_env.dose import Raster, aperture
from radplan_env.grid import Triple

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Jaws = tuple[float, float, float, float]


def turns(gantry_deg: Sequence[float]) -> bool:
    """Whether the gantry moves between control points."""
    return len(set(gantry_deg)) > 1


@dataclass(frozen=True)
class Field:
    """One field of a plan: an arc, or static segments at one gantry angle.

    Parameters
    ----------
    gantry_deg : tuple of float
        At every control point. An arc's run on beyond 360 or below 0, so that they are monotone; a static field's are
        all the same, and each control point is a segment.
    collimator_deg : float
    jaws_mm : tuple of float
        (x1, x2, z1, z2) along the collimator's axes.
    """

    gantry_deg: tuple[float, ...]
    collimator_deg: float
    jaws_mm: Jaws

    @property
    def is_arc(self) -> bool:
        """Whether the gantry turns."""
        return turns(self.gantry_deg)

    @property
    def control_points(self) -> int:
        """How many there are."""
        return len(self.gantry_deg)

    @property
    def intervals(self) -> int:
        """How many doses of monitor units there are: between control points of an arc, one a segment."""
        return self.control_points - self.is_arc


@dataclass(frozen=True, eq=False)
class Apertures:
    """Every aperture of a plan; within an interval of an arc, gantry and leaves move evenly with the monitor units.

    Parameters
    ----------
    fields : tuple of Field
    boundaries_mm : ndarray, shape (pairs + 1,)
        Of the leaf pairs.
    left_mm, right_mm : ndarray, shape (control points, pairs)
        Leaf ends along x in the isocentre plane; control points field by field.
    monitor_units : ndarray, shape (intervals,)
        In one fraction.

    Raises
    ------
    ValueError
        If shapes do not belong together, a number is not finite, leaves overlap or monitor units are negative.
    """

    fields: tuple[Field, ...]
    boundaries_mm: Array
    left_mm: Array
    right_mm: Array
    monitor_units: Array

    def __post_init__(self) -> None:
        points, pairs = sum(f.control_points for f in self.fields), self.boundaries_mm.size - 1
        if self.left_mm.shape != (points, pairs) or self.right_mm.shape != (points, pairs):
            raise ValueError(
                f"{points} control points and {pairs} leaf pairs need leaf ends of shape {(points, pairs)}, got "
                f"{self.left_mm.shape} and {self.right_mm.shape}"
            )
        if self.monitor_units.shape != (intervals := sum(f.intervals for f in self.fields),):
            raise ValueError(f"{intervals} intervals need as many monitor units, got {self.monitor_units.shape}")
        if not all(np.isfinite(a).all() for a in (self.left_mm, self.right_mm, self.monitor_units)):
            raise ValueError("leaf ends and monitor units must be finite")
        if (self.left_mm > self.right_mm).any() or (self.monitor_units < 0).any():
            raise ValueError("leaves of a pair must not overlap, and monitor units not be negative")

    @cached_property
    def field(self) -> Index:
        """Index of each interval's field."""
        return np.repeat(np.arange(len(self.fields)), [f.intervals for f in self.fields])

    @cached_property
    def first(self) -> Index:
        """Control point at which each interval begins."""
        starts = np.cumsum([0, *(f.control_points for f in self.fields)])
        return np.concatenate([start + np.arange(f.intervals) for start, f in zip(starts, self.fields, strict=False)])

    @cached_property
    def last(self) -> Index:
        """Control point at which each interval ends; a segment's is its first."""
        last: Index = self.first + np.array([f.is_arc for f in self.fields])[self.field]
        return last

    @cached_property
    def field_of_point(self) -> Index:
        """Index of each control point's field."""
        return np.repeat(np.arange(len(self.fields)), [f.control_points for f in self.fields])

    @cached_property
    def gantry_deg(self) -> Array:
        """Gantry angle of each control point, shape (control points,), running on through an arc."""
        return np.concatenate([f.gantry_deg for f in self.fields])

    @property
    def middle_deg(self) -> Array:
        """Gantry angle in the middle of each interval, from 0 to 360."""
        middle: Array = (self.gantry_deg[self.first] + self.gantry_deg[self.last]) / 2 % 360
        return middle

    @property
    def middle_mm(self) -> tuple[Array, Array]:
        """Left and right leaf ends in the middle of each interval, shape (intervals, pairs)."""
        left, right = ((ends[self.first] + ends[self.last]) / 2 for ends in (self.left_mm, self.right_mm))
        return left, right

    @property
    def travel_mm(self) -> Array:
        """Longest way of a leaf within each interval, shape (intervals,)."""
        ways = [abs(ends[self.last] - ends[self.first]).max(axis=1) for ends in (self.left_mm, self.right_mm)]
        longest: Array = np.maximum(*ways)
        return longest

    def exposed(self, field: Field) -> NDArray[np.bool_]:
        """Return which pairs lie between a field's jaws along z, shape (pairs,)."""
        _, _, low, high = field.jaws_mm
        exposed: NDArray[np.bool_] = (self.boundaries_mm[1:] > low + 1e-6) & (self.boundaries_mm[:-1] < high - 1e-6)
        return exposed

    def scaled(self, factor: float) -> Apertures:
        """Return the same apertures with all monitor units times a factor."""
        return replace(self, monitor_units=factor * self.monitor_units)

    def divided(self, parts: int) -> Iterator[tuple[int, float, float]]:
        """Yield interval, and start and end of each of its parts; a static segment stays whole."""
        for n in range(self.monitor_units.size):
            whole = 1 if self.first[n] == self.last[n] else parts
            for part in range(whole):
                yield n, part / whole, (part + 1) / whole

    def beams(self, isocentre_mm: Triple, sad_mm: float, parts: int = 1) -> tuple[Beam, ...]:
        """Return a beam at the middle of each part of each interval; segments of one field share theirs.

        Parameters
        ----------
        isocentre_mm : tuple of float
        sad_mm : float
        parts : int
            Into which an interval of an arc is divided.
        """
        beams: dict[tuple[int, int, float], Beam] = {}
        for n, start, end in self.divided(parts):
            from_deg, to_deg = self.gantry_deg[self.first[n]], self.gantry_deg[self.last[n]]
            angle = float((from_deg + (start + end) / 2 * (to_deg - from_deg)) % 360)
            key = self._beam_key(n, start)
            beams.setdefault(key, Beam(angle, isocentre_mm, sad_mm, self.fields[self.field[n]].collimator_deg))
        return tuple(beams.values())

    def rasters(self, model: BeamModel, leaf_gap_mm: float, fractions: int, parts: int = 1) -> list[Raster]:
        """Return the total fluence of all fractions, a raster for each of `beams`.

        Parameters
        ----------
        model : BeamModel
            Its transmission and monitor units per unit of fluence.
        leaf_gap_mm : float
            By which rounded leaf ends widen every opening.
        fractions : int
        parts : int
            As for `beams`.
        """
        rasters: dict[tuple[int, int, float], Raster] = {}
        for n, start, end in self.divided(parts):
            open_ = [self._at(n, share) for share in (start, end)]
            (left, right), (left_end, right_end) = [(lo - leaf_gap_mm / 2, hi + leaf_gap_mm / 2) for lo, hi in open_]
            jaws = self.fields[self.field[n]].jaws_mm
            shape = aperture(left, right, self.boundaries_mm, model, jaws, left_end_mm=left_end, right_end_mm=right_end)
            units = self.monitor_units[n] * (end - start) * fractions / model.monitor_units_per_fluence
            fluence = units * shape.fluence
            if (known := rasters.get(key := self._beam_key(n, start))) is not None:
                fluence = fluence + known.fluence
            rasters[key] = Raster(shape.x_mm, shape.z_mm, fluence)
        return list(rasters.values())

    def _beam_key(self, n: int, start: float) -> tuple[int, int, float]:
        arc = self.first[n] != self.last[n]
        return int(self.field[n]), n if arc else -1, start

    def _at(self, n: int, share: float) -> tuple[Array, Array]:
        a, b = self.first[n], self.last[n]
        left, right = ((1 - share) * ends[a] + share * ends[b] for ends in (self.left_mm, self.right_mm))
        return left, right
