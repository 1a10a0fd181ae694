"""One arc of one case: all that stays as it is while its machine parameters change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import DEFAULT_BEAM_MODEL
from radplan_env.beams import Beam
from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures
from radplan_env.delivery.columns import ApertureColumns, Leaves
from radplan_env.delivery.limits import interval_seconds, repaired, rounded
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.planner import MU_PER_GY, PLANNED_GAP_MM, ROWS, blocks_of_k
from radplan_env.delivery.techniques import arcs
from radplan_env.dose import Raster, prepare
from radplan_env.fluence.objective import Objective
from radplan_env.influence.rows import sampled_rows
from radplan_env.planning.inner_problem import InnerProblem
from radplan_env.protocol import Protocol
from radplan_env.scorecards import scorecard_for
from radplan_env.verdict import Judge, Judgement, VerdictKind

Array = NDArray[np.float64]

OFFSETS_MM = (-1.0, 1.0)
"""Of all leaves along x, over which the verdict is averaged."""
_COARSE_MM = 2.0  # lattice of the dose that K leaves out
_CUTOFF_MM = 25.0  # of K: what it leaves out stays that of the first apertures


@dataclass(frozen=True)
class ArcVerdict:
    """What is said of an arc in the end, on points that its reward never saw.

    Parameters
    ----------
    apertures : Apertures
        Scaled to D95 = Rx on the verdict's points, in steps of the machine.
    nominal : Judgement
        Of these.
    score : float
        Mean over `OFFSETS_MM`, each scaled to D95 = Rx.
    """

    apertures: Apertures
    nominal: Judgement
    score: float


class ArcTask:
    """K by interval, objective, machine, start and judge of one case.

    Parameters
    ----------
    case : Case
    protocol : Protocol
        Its start parameters make the objective, Eq. 1.
    machine : Machine

    Raises
    ------
    CaseError
        If the case lacks the protocol's primary target.
    ValueError
        If the target does not fit the collimator.
    """

    def __init__(self, case: Case, protocol: Protocol, machine: Machine) -> None:
        bound = protocol.bind(case)
        self.case, self.machine, self.fractions = case, machine, protocol.fractions
        self.judge = Judge(case, bound, scorecard_for(bound), beam_model=DEFAULT_BEAM_MODEL)
        self.model = model = self.judge.beam_model
        targets = [bound.case_name[target.structure] for target in bound.targets]
        layout = arcs(machine, 1, 1)
        regions = {bound.case_name.get(name, name): mask for name, mask in self.judge.regions.masks.items()}
        assert ROWS.sampling is not None
        rows = sampled_rows(case, targets, ROWS.sampling, {**regions, **case.structures})

        k = blocks_of_k(case, targets, layout, model, rows, replace(ROWS, cutoff_mm=_CUTOFF_MM))
        self.columns = ApertureColumns(k, layout, machine, model.mlc_transmission)
        inner = InnerProblem(bound, case.id, rows)
        problem = inner.problem(bound.start_parameters())
        self.loss, self.target = Objective(problem.terms, rows.index.size).loss, inner.target
        self.most_mu = MU_PER_GY * bound.primary.prescription_gy / self.fractions
        self.mu_to_units = self.fractions / model.monitor_units_per_fluence
        self.gap_mm = max(PLANNED_GAP_MM, machine.smallest_gap_mm)
        turn = float(abs(np.diff(self.columns.fields[0].gantry_deg)).min())
        self.travel_mm = machine.leaf_speed_mm_per_s * turn / machine.gantry_deg_per_s[1]
        """Of a leaf while the gantry crosses an interval at its highest speed: leaves never slow it."""
        leaves = self.conformal()
        traced = prepare(case, k.beams, rows.points_mm, beam_model=model, spacing_mm=_COARSE_MM)
        exact = traced.dose(self._rasters(self.columns.apertures(leaves, 1 / self.mu_to_units)))
        own, fluence = self.opened(leaves, 0, self.intervals)
        of_k = np.zeros(rows.index.size)
        self.add_dose(own, fluence, of_k)
        self.left_out = exact - of_k
        """Dose beyond K's reach, that of the conformal arc whatever the leaves do."""

    @property
    def intervals(self) -> int:
        """How many the arc has."""
        return int(self.columns.first.size)

    def conformal(self) -> Leaves:
        """Return leaves round the target, with the same units in every interval."""
        left, right = repaired(self.columns.lowest, self.columns.highest, self.gap_mm, self.travel_mm)
        return Leaves(left, right, np.full(self.intervals, self.mu_to_units))

    def place(self, left: Array, right: Array, point: int) -> None:
        """Move the leaves of a control point, in place, to the nearest places that they can be in.

        Leaves are kept within the range of K's bixels, then within reach of the control points beside. Narrow pairs are
        opened about their middle, which keeps them within reach, since the neighbours have that gap.
        """
        beside = [k for k in (point - 1, point + 1) if 0 <= k < len(left)]
        for ends in (left, right):
            ends[point] = np.clip(ends[point], self.columns.lowest[point], self.columns.highest[point])
            near = ends[beside]
            ends[point] = np.clip(ends[point], near.max(axis=0) - self.travel_mm, near.min(axis=0) + self.travel_mm)
        short = np.maximum(self.gap_mm - (right[point] - left[point]), 0) / 2
        left[point] -= short
        right[point] += short

    def deliverable(self, apertures: Apertures) -> bool:
        """Whether monitor units are within bounds: no dose rate too low, and no more in all than plans may need."""
        units = apertures.monitor_units
        least = self.machine.monitor_units_per_s[0] * interval_seconds(apertures, self.machine)
        return bool((units >= least).all() and units.sum() <= self.most_mu)

    def opened(self, leaves: Leaves, first: int, last: int) -> tuple[slice, Array]:
        """Return the bixels of intervals first to last - 1, and their fluence."""
        columns, some = self.columns, slice(first, last)
        own = slice(columns.begin[first], columns.end[last - 1])
        column, interval, share = columns.opened(leaves, some)
        units, closed = leaves.units[some], columns.transmission
        fluence = closed * np.repeat(units, (columns.end - columns.begin)[some])
        fluence[column - own.start] += (1 - closed) * share * units[interval]
        return own, fluence

    def add_dose(self, own: slice, change: Array, dose: Array) -> None:
        """Add, in place, the dose of a change of fluence."""
        moved = np.flatnonzero(change)
        self.columns.add_dose(own.start + moved, change[moved], dose)

    def prices(self, interval: int, pull: Array) -> Array:
        """Return what a unit of fluence in each bixel of an interval changes, given the pull of each row."""
        columns = self.columns
        return columns.prices(np.arange(columns.begin[interval], columns.end[interval]), pull)

    def verdict(self, apertures: Apertures, kind: VerdictKind = "sampled") -> ArcVerdict:
        """Judge apertures as they would be delivered."""
        factor = self.judged(apertures, kind, scale=True).scaled_by
        final = rounded(apertures.scaled(factor), self.machine)
        moved = [
            replace(final, left_mm=final.left_mm + offset, right_mm=final.right_mm + offset) for offset in OFFSETS_MM
        ]
        scores = [self.judged(each, kind, scale=True).evaluation.score for each in moved]
        return ArcVerdict(final, self.judged(final, kind, scale=False), float(np.mean(scores)))

    def judged(self, apertures: Apertures, kind: VerdictKind = "sampled", *, scale: bool = True) -> Judgement:
        """Judge apertures as they stand, scaled to D95 = Rx on the verdict's points or as they are."""
        rasters, units = self._rasters(apertures), float(apertures.monitor_units.sum())
        return self.judge.judge_rasters(self._beams, rasters, kind, scale=scale, monitor_units=units)

    @cached_property
    def _beams(self) -> tuple[Beam, ...]:
        beam = self.columns.beams[0]
        return self.columns.apertures(self.conformal(), 1.0).beams(beam.isocentre_mm, beam.sad_mm)

    def _rasters(self, apertures: Apertures) -> list[Raster]:
        return apertures.rasters(self.model, self.machine.dosimetric_leaf_gap_mm, self.fractions)
