"""From a fluence to apertures: K in the middle of every interval, where to start, and how far to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.delivery.apertures import Apertures, Field
from radplan_env.delivery.blocks import Angles, BlocksOfK
from radplan_env.delivery.columns import ApertureColumns, Leaves, fields_of
from radplan_env.delivery.limits import rounded
from radplan_env.delivery.machine import Machine
from radplan_env.delivery.optimise import ApertureOptimiser, Bounds, Effort
from radplan_env.delivery.start import sliding_windows
from radplan_env.delivery.techniques import Layout
from radplan_env.dose import Prepared, prepare
from radplan_env.fluence import DoseConstraint, FluenceProblem
from radplan_env.influence import DoseInfluence, Fidelity, influence
from radplan_env.influence.bixels import bixels_covering_target
from radplan_env.influence.matrix import setup_of
from radplan_env.influence.rows import Rows, Sampling

Array = NDArray[np.float64]

BIXEL_MM = 5.0
"""Of aperture optimisation, and of the ideal plan it starts from: no leaf boundary runs through a bixel."""
OFFSET = (0.0, 0.5)
ROWS = Fidelity(
    "apertures", 5.0, BIXEL_MM, OFFSET, Sampling(fine_mm=2.5, target_mm=5.0, near_mm=7.5, far_mm=20.0), cutoff_mm=25.0
)
"""What aperture optimisation sees. Dose beyond the cutoff is computed apart; see `optimise`."""

PLANNED_GAP_MM = 2.0
MU_PER_GY = 370.0
"""Highest number of monitor units per Gy of a fraction: clinical arcs take 200 to 350 (from memory)."""
ARC_SECONDS = 112.0
"""How long an arc takes at most at the highest dose rate; slowing gantry and leaves adds to it."""
_TRAVEL_MM = 30.0  # between control points, 1.2 s of the leaves' speed
_LONGEST_S, _LEAST_MU = 2.0, 1.0  # of an interval: with the lowest dose rate, its least units; of a segment
_MOST = 2.5  # of an interval's units, relative to their mean
_COARSE_MM = 2.0  # lattice of the dose that K leaves out

SAMPLE_ONE_OF = 3
"""One of so many rows is what a cold start sees first."""
COLD_ON_SAMPLE, COLD, WARM = Effort(rounds=4, covered=0), Effort(rounds=0, covered=2), Effort(rounds=0, covered=1)


@dataclass(frozen=True, eq=False)
class Phase:
    """A part of aperture optimisation, on the first so many rows.

    Parameters
    ----------
    rows : int
    problem : FluenceProblem
        On these rows.
    target : DoseConstraint
        Coverage of the primary target.
    effort : Effort
    """

    rows: int
    problem: FluenceProblem
    target: DoseConstraint
    effort: Effort


def checked_fields(
    case: Case, targets: Sequence[str], layout: Layout, machine: Machine, model: BeamModel, rows: Rows
) -> tuple[Field, ...]:
    """Return the fields that apertures of a case would have, without K.

    Raises
    ------
    ValueError
        As `AperturePlanner`.
    """
    _check_apertures(model)
    gantry, collimator = zip(*layout.beams_deg, strict=True)
    setup = setup_of(case, gantry, targets, ROWS, collimator, model.name, rows)
    return fields_of(bixels_covering_target(setup), layout, machine)


def blocks_of_k(case: Case, targets: Sequence[str], layout: Layout, model: BeamModel, rows: Rows) -> BlocksOfK:
    """Return K of a layout's beams, for apertures."""

    def k_of(angles: Sequence[Angles]) -> DoseInfluence:
        gantry, collimator = zip(*angles, strict=True)
        settings: dict[str, Any] = {"collimator_angles_deg": collimator, "beam_model": model.name, "progress": False}
        return influence(case, gantry, targets, ROWS, rows=rows, **settings)

    return BlocksOfK.computed(layout.beams_deg, k_of)


def _check_apertures(model: BeamModel) -> None:
    if model.kernels.pencils_only:
        raise ValueError(f"beam model {model.name!r} computes bixels only: choose generic-6x to deliver plans")


class AperturePlanner:
    """Optimises apertures of one case and layout, for any planning parameters.

    Parameters
    ----------
    case : Case
    targets : sequence of str
        Structures (names in the case) that the fields are to cover.
    layout : Layout
    machine : Machine
    model : BeamModel
        Of apertures.
    rows : Rows
        Where the dose is optimised.
    dose_per_fraction_gy : float
    fractions : int

    Raises
    ------
    ValueError
        If the beam model knows no apertures, or the target does not fit the collimator.
    """

    def __init__(
        self,
        case: Case,
        targets: Sequence[str],
        layout: Layout,
        machine: Machine,
        model: BeamModel,
        rows: Rows,
        dose_per_fraction_gy: float,
        fractions: int,
    ) -> None:
        _check_apertures(model)
        self.machine, self.model, self.fractions = machine, model, fractions
        k = blocks_of_k(case, targets, layout, model, rows)
        self.columns = ApertureColumns(k, layout, machine, model.mlc_transmission)
        self._traced = prepare(case, k.beams, rows.points_mm, beam_model=model, spacing_mm=_COARSE_MM)
        self._mu_to_units = fractions / model.monitor_units_per_fluence
        self._bounds = self._bounds_of(dose_per_fraction_gy)

    @property
    def beams(self) -> tuple[Beam, ...]:
        """A beam in the middle of each interval of arcs, and one for each static field."""
        return self.columns.beams

    def start(self, coarse: tuple[Beam, ...], bixels: Bixels, fluence: Array) -> Apertures:
        """Return sliding windows of coarse fields' fluence."""
        leaves = sliding_windows(self.columns, coarse, bixels, fluence, self._mu_to_units, self._bounds.total)
        return self._apertures(leaves)

    def optimised(self, start: Apertures, phases: Sequence[Phase]) -> Apertures:
        """Return the best apertures found from a start, scaled to cover the last phase's target on its rows."""
        leaves = self._leaves(start)
        for phase in phases:
            columns, traced = self._on_first(phase.rows)
            exact = partial(self._exact, traced)
            optimiser = ApertureOptimiser(columns, phase.problem, phase.target, self._bounds, exact)
            leaves = _covering(optimiser.state(leaves).leaves, phase.target, exact)
            leaves = _covering(optimiser.optimise(leaves, phase.effort), phase.target, exact)
        return rounded(self._apertures(leaves), self.machine)

    def _on_first(self, rows: int) -> tuple[ApertureColumns, Prepared]:
        """K by leaf pair, and its beams, on the first so many rows."""
        if rows == self.columns.rows:
            return self.columns, self._traced
        return self.columns.on_first(rows), self._traced.at(np.arange(self.columns.rows) < rows)

    def _exact(self, traced: Prepared, leaves: Leaves) -> NDArray[np.float32]:
        rasters = self._apertures(leaves).rasters(self.model, self.machine.dosimetric_leaf_gap_mm, self.fractions)
        return traced.dose_by_beam(rasters)

    def _apertures(self, leaves: Leaves) -> Apertures:
        return self.columns.apertures(leaves, 1 / self._mu_to_units)

    def _leaves(self, apertures: Apertures) -> Leaves:
        return self.columns.leaves(apertures, self._mu_to_units)

    def _bounds_of(self, dose_per_fraction_gy: float) -> Bounds:
        fields, (slowest, fastest) = self.columns.fields, self.machine.monitor_units_per_s
        arcs = sum(field.is_arc for field in fields)
        total = MU_PER_GY * dose_per_fraction_gy
        least, most = _LEAST_MU, total
        if arcs:
            total = min(total, arcs * ARC_SECONDS * fastest)
            least, most = _LONGEST_S * slowest, _MOST * total / self.columns.first.size
        units = self._mu_to_units
        return Bounds(
            max(PLANNED_GAP_MM, self.machine.smallest_gap_mm), _TRAVEL_MM, least * units, most * units, total * units
        )


def _covering(leaves: Leaves, target: DoseConstraint, exact: Callable[[Leaves], NDArray[np.float32]]) -> Leaves:
    achieved = target.achieved_gy(exact(leaves).sum(axis=0, dtype=float))
    return replace(leaves, units=leaves.units * (target.dose_gy / achieved if achieved > 0 else 1.0))
