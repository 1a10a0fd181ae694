"""K for apertures: which bixels each interval's leaves uncover, and dose and its changes on K's rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beams import Bixels
from radplan_env.delivery import opening
from radplan_env.delivery.apertures import Apertures, Field, turns
from radplan_env.delivery.blocks import BlocksOfK
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.techniques import Layout

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Ranges = tuple[tuple[Array, Array], tuple[Array, Array]]
"""Lowest and highest place of left ends, and of right ends, each of shape (control points, pairs)."""
Beyond = NDArray[np.float32]
"""Dose of one unit of fluence beyond K, shape (beams, rows); see `ApertureColumns.beyond`."""

_NEAR_MM = 0.05  # over which slopes by leaf ends are taken


@dataclass(frozen=True, eq=False)
class Leaves:
    """Ends of the pairs that can uncover a bixel, and fluence: what is optimised.

    Parameters
    ----------
    left, right : ndarray, shape (control points, pairs)
        In mm.
    units : ndarray, shape (intervals,)
        Fluence of all fractions.
    """

    left: Array
    right: Array
    units: Array


def fields_of(bixels: Bixels, layout: Layout, machine: Machine) -> tuple[Field, ...]:
    """Return a layout's fields, with jaws round the bixels of their beams.

    Raises
    ------
    ValueError
        If the target lies beyond the leaf bank, or is wider than its leaves can uncover.
    """
    fields, beam = [], 0
    pair, low = machine.pair_at(bixels.centres_mm[:, 1]), bixels.centres_mm[:, 0] - bixels.width_mm / 2
    for gantry, collimator in zip(layout.gantry_deg, layout.collimator_deg, strict=True):
        beams = len(gantry) - 1 if turns(gantry) else 1
        own = (bixels.beam >= beam) & (bixels.beam < beam + beams)
        x = low[own].min(), low[own].max() + bixels.width_mm
        z = machine.boundaries_mm[pair[own].min()], machine.boundaries_mm[pair[own].max() + 1]
        if (width := x[1] - x[0]) > 2 * machine.leaf_span_mm:
            raise ValueError(
                f"the target is {width:.0f} mm wide at gantry {gantry[0] % 360:g}: leaves of machine "
                f"{machine.name!r} uncover {2 * machine.leaf_span_mm:g} mm at most in one field"
            )
        fields.append(Field(gantry, collimator, (float(x[0]), float(x[1]), float(z[0]), float(z[1]))))
        beam += beams
    return tuple(fields)


class ApertureColumns:
    """K by leaf pair, with the fields that its bixels need.

    Parameters
    ----------
    k : BlocksOfK
        With a beam in the middle of each interval of an arc, or one for each static field; bixels do not cross leaves.
    layout : Layout
    machine : Machine
    transmission : float
        Of closed leaves.

    Raises
    ------
    ValueError
        If the target lies beyond the leaf bank, or is wider than its leaves can uncover.
    """

    def __init__(self, k: BlocksOfK, layout: Layout, machine: Machine, transmission: float) -> None:
        self.machine, self.transmission = machine, transmission
        self.beams, self.bixels = k.beams, k.bixels
        bixels = k.bixels
        centres = bixels.centres_mm
        self.width_mm = bixels.width_mm
        pair = machine.pair_at(centres[:, 1])
        self.pairs, self.pair = np.unique(pair, return_inverse=True)
        self.low = np.ascontiguousarray(centres[:, 0] - bixels.width_mm / 2)
        bounds = machine.boundaries_mm
        self.fields = fields_of(bixels, layout, machine)
        empty = np.zeros((sum(f.control_points for f in self.fields), machine.pairs))
        units = np.zeros(sum(f.intervals for f in self.fields))
        self._closed = Apertures(self.fields, bounds, empty, empty, units)
        self.first, self.last, self.field = self._closed.first, self._closed.last, self._closed.field
        self.beam = np.concatenate(
            [np.arange(f.intervals) if f.is_arc else np.zeros(f.intervals, int) for f in self.fields]
        )
        starts = np.cumsum([0, *(f.intervals if f.is_arc else 1 for f in self.fields)])
        self.beam += starts[self.field]
        edges = np.searchsorted(bixels.beam, np.arange(len(k.beams) + 1))
        self.begin, self.end = edges[self.beam], edges[self.beam + 1]
        self.lowest, self.highest = self._ranges()
        self._k, self.rows = k, k.rows
        self.bixels_of_beam = np.bincount(bixels.beam, minlength=len(self.beams))
        # Closed leaves let a share of everything through: of each beam one column, and bixels count where they open.
        self._of_beam = self._by_beam(np.arange(len(bixels)), np.ones(len(bixels)))

    def _ranges(self) -> tuple[Array, Array]:
        """How far each pair's bixels reach at each control point; the field's centre where it has none."""
        points, pairs = len(self._closed.left_mm), self.pairs.size
        lowest, highest = np.full((points, pairs), np.inf), np.full((points, pairs), -np.inf)
        for n in range(self.first.size):
            columns = slice(self.begin[n], self.end[n])
            for k in {self.first[n], self.last[n]}:
                np.minimum.at(lowest[k], self.pair[columns], self.low[columns])
                np.maximum.at(highest[k], self.pair[columns], self.low[columns] + self.width_mm)
        none = ~np.isfinite(lowest)
        lowest, highest = (np.where(none, self._centre_mm, ends) for ends in (lowest, highest))
        return lowest, highest

    def reach(self, gap_mm: float) -> Ranges:
        """Return where left and right ends may be: over K's bixels, and as far beyond as the leaves' span wants them.

        A carriage stands still within a field, so that of a pair whose bixels all lie far to one side one leaf cannot
        come so far; it closes where it can. Room is left for pairs that are opened about their middle to a gap.
        """
        low, high = self._jaws_mm
        span = self.machine.leaf_span_mm - gap_mm / 2
        highest_left, lowest_right = low + span, high - span
        lowest, highest = np.minimum(self.lowest, highest_left), np.maximum(self.highest, lowest_right)
        return (lowest, np.minimum(highest, highest_left)), (np.maximum(lowest, lowest_right), highest)

    @property
    def _jaws_mm(self) -> tuple[Array, Array]:
        """Jaws along x at each control point, shape (control points, 1)."""
        jaws = np.array([f.jaws_mm for f in self.fields])[self._closed.field_of_point]
        return jaws[:, :1], jaws[:, 1:2]

    @property
    def _centre_mm(self) -> Array:
        """Between the jaws at each control point, shape (control points, 1)."""
        low, high = self._jaws_mm
        return (low + high) / 2

    def apertures(self, leaves: Leaves, units_to_mu: float) -> Apertures:
        """Return leaves as apertures of all the machine's pairs; those that uncover nothing are closed and at rest."""
        whole = []
        for ends in (leaves.left, leaves.right):
            all_pairs = np.repeat(self._centre_mm, self.machine.pairs, axis=1)
            all_pairs[:, self.pairs] = ends
            whole.append(all_pairs)
        return Apertures(self.fields, self._closed.boundaries_mm, whole[0], whole[1], units_to_mu * leaves.units)

    def leaves(self, apertures: Apertures, mu_to_units: float) -> Leaves:
        """Return what `apertures` made of leaves."""
        pairs = self.pairs
        return Leaves(apertures.left_mm[:, pairs], apertures.right_mm[:, pairs], mu_to_units * apertures.monitor_units)

    def dose(self, leaves: Leaves, beyond: Beyond) -> Array:
        """Return the dose in Gy on K's rows, shape (rows,), with what lies beyond K."""
        closed, columns, opened = self._fluence(leaves)
        through = self._through(closed, columns, opened)
        of_beams = closed.astype(np.float32) @ self._of_beam + through.astype(np.float32) @ beyond
        dose: Array = of_beams.astype(float)
        self.add_dose(columns, opened, dose)
        return dose

    def beyond(self, leaves: Leaves, exact_gy: NDArray[np.float32]) -> Beyond:
        """Return the dose beyond K of one unit of fluence through each beam's bixels, from that of leaves.

        K ends some way from a bixel, and its leaves are blurred: what that leaves out lies so far off that it depends
        little on where in the field the fluence is.

        Parameters
        ----------
        leaves : Leaves
        exact_gy : ndarray, shape (beams, rows)
            The dose of the leaves without K.
        """
        closed, columns, opened = self._fluence(leaves)
        through = self._through(closed, columns, opened)
        of_k = self._by_beam(columns, opened) + closed.astype(np.float32)[:, None] * self._of_beam
        beyond: Beyond = (exact_gy - of_k) / np.maximum(through, 1e-12).astype(np.float32)[:, None]
        return beyond

    def slopes(self, leaves: Leaves, pull: Array, beyond: Beyond) -> tuple[Array, Array, Array]:
        """Return how a function of the dose changes with left ends, right ends and units.

        Parameters
        ----------
        leaves : Leaves
        pull : ndarray, shape (rows,)
            How the function changes with the dose of each row.
        beyond : ndarray, shape (beams, rows)
            See `beyond`.

        Returns
        -------
        tuple of ndarray
            Shapes (control points, pairs) twice, and (intervals,).
        """
        opened, interval, share = self.opened(leaves)
        moved, variable, slope = self._changes(leaves)
        on_rows = pull.astype(np.float32)
        far = (beyond @ on_rows).astype(float)
        price = self._products(np.concatenate([opened, moved]), pull) + far[self.bixels.beam]
        closed = self.transmission * ((self._of_beam @ on_rows).astype(float) + self.bixels_of_beam * far)
        by_units = closed[self.beam] + (1 - self.transmission) * np.bincount(
            interval, share * price[opened], minlength=leaves.units.size
        )
        by_ends = np.bincount(variable, slope * price[moved], minlength=2 * leaves.left.size)
        by_left, by_right = by_ends.reshape(2, *leaves.left.shape)
        return by_left, by_right, by_units

    def curvature(self, leaves: Leaves, weights: Array) -> tuple[Array, Array]:
        """Return about how a sum of squares of doses bends, by the ends of each pair and by units.

        Parameters
        ----------
        leaves : Leaves
        weights : ndarray, shape (rows,)
            Of the rows' squares.

        Returns
        -------
        tuple of ndarray
            Shapes (control points times pairs,) and (intervals,).
        """
        moved, variable, slope = self._changes(leaves)
        energy = self._products(moved, weights, squared=True)
        by_ends = np.bincount(variable, slope.astype(float) ** 2 * energy[moved], minlength=2 * leaves.left.size)
        by_units = (self.unit_doses(leaves) ** 2) @ weights.astype(np.float32)
        return by_ends.reshape(2, -1).sum(axis=0), by_units.astype(float)

    def unit_doses(self, leaves: Leaves) -> NDArray[np.float32]:
        """Return the dose in Gy of one unit of each interval's fluence on K's rows, shape (intervals, rows)."""
        column, interval, share = self.opened(leaves)
        doses: NDArray[np.float32] = np.float32(self.transmission) * self._of_beam[self.beam]
        self._k.add_to(column, np.float32(1 - self.transmission) * share, interval, doses)
        return doses

    def _fluence(self, leaves: Leaves) -> tuple[Array, Index, Array]:
        """Fluence through closed leaves by beam; the bixels that leaves uncover, and what they have beside it."""
        column, interval, share = self.opened(leaves)
        closed = self.transmission * np.bincount(self.beam, leaves.units, minlength=len(self.beams))
        opened = np.bincount(column, leaves.units[interval] * share, minlength=len(self.bixels)).astype(float)
        columns: Index = np.flatnonzero(opened).astype(np.int64)
        return closed.astype(float), columns, (1 - self.transmission) * opened[columns]

    def _through(self, closed: Array, columns: Index, opened: Array) -> Array:
        """Fluence through all of each beam's bixels."""
        beams = self.bixels.beam[columns]
        through: Array = closed * self.bixels_of_beam + np.bincount(beams, opened, minlength=len(self.beams))
        return through

    def _by_beam(self, columns: Index, factors: Array) -> NDArray[np.float32]:
        """Columns of K times their factors, summed by beam, shape (beams, rows)."""
        sums = np.zeros((len(self.beams), self.rows), dtype=np.float32)
        self._k.add_to(columns, factors, self.bixels.beam[columns], sums)
        return sums

    def _products(self, columns: Index, values: Array, *, squared: bool = False) -> Array:
        """Return the products of some columns of K, or of their squares, with values (rows,); 0 of the others."""
        wanted = np.zeros(len(self.bixels), dtype=bool)
        wanted[columns] = True
        return self._k.products(np.flatnonzero(wanted), values.astype(np.float32), squared=squared)

    def add_dose(self, columns: Index, fluence: Array, dose: Array) -> None:
        """Add, in place, the dose in Gy (rows,) of fluence through some bixels."""
        self._k.add(columns, fluence, dose)

    def prices(self, columns: Index, pull: Array) -> Array:
        """Return what a unit of fluence through some bixels changes, given how a function changes with each row."""
        of_columns: Array = self._k.products(columns, pull)[columns]
        return of_columns

    def opened(self, leaves: Leaves, some: slice = slice(None)) -> tuple[Index, Index, NDArray[np.float32]]:
        """Return the bixels that leaves uncover, in which of some intervals, and the share that is open."""
        most = int((self.end - self.begin)[some].sum())
        column, interval, share = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float32)
        arguments: tuple[Any, ...] = (*self._open(leaves), *self._intervals(some), column, interval, share)
        found = opening.openings(*arguments)
        return column[:found], interval[:found], share[:found]

    def _changes(self, leaves: Leaves) -> tuple[Index, Index, NDArray[np.float32]]:
        """Bixels, ends (all left, then all right), and how the bixel's fluence changes with the end."""
        most = int((4 * (self.end - self.begin)).sum())
        column, variable, slope = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.float32)
        open_ = self._open(leaves)
        intervals = *self._intervals(), self.transmission, _NEAR_MM
        arguments: tuple[Any, ...] = (*open_, leaves.units, *intervals, column, variable, slope)
        found = opening.changes(*arguments)
        return column[:found], variable[:found], slope[:found]

    def _open(self, leaves: Leaves) -> tuple[Array, Array]:
        """Ends as the beam sees them: rounded leaves let more through."""
        half = self.machine.dosimetric_leaf_gap_mm / 2
        return leaves.left - half, leaves.right + half

    def _intervals(self, some: slice = slice(None)) -> tuple[Any, ...]:
        intervals = (each[some] for each in (self.first, self.last, self.begin, self.end))
        return *intervals, self.pair, self.low, self.width_mm
