"""From a fluence to apertures: K in the middle of every interval, where to start, and how far to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
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
from radplan_env.dose import Prepared, Raster, prepare
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
    "apertures", 5.0, BIXEL_MM, OFFSET, Sampling(fine_mm=2.5, target_mm=5.0, near_mm=7.5, far_mm=20.0), cutoff_mm=15.0
)
"""What aperture optimisation sees. Dose beyond the cutoff is computed apart, see `optimise`: with 25 mm plans are no
better (docs/delivery.md), and K is 2.6 times as large."""

PLANNED_GAP_MM = 2.0
MU_PER_GY = 370.0
"""Highest number of monitor units per Gy of a fraction: clinical arcs take 200 to 350 (from memory)."""
ARC_SECONDS = 112.0
"""How long an arc takes at most at the highest dose rate; slowing gantry and leaves adds to it."""
_TRAVEL_MM = 30.0  # between control points, 1.2 s of the leaves' speed
_LONGEST_S, _LEAST_MU = 2.0, 1.0  # of an interval: with the lowest dose rate, its least units; of a segment
_MOST = 2.5  # of an interval's units, relative to their mean
_COARSE_MM = 2.0  # lattice of the dose that K leaves out

COLD, WARM = Effort(rounds=4, covered=2), Effort(rounds=0, covered=1)


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


def blocks_of_k(
    case: Case, targets: Sequence[str], layout: Layout, model: BeamModel, rows: Rows, fidelity: Fidelity = ROWS
) -> BlocksOfK:
    """Return K of a layout's beams, for apertures."""

    def k_of(angles: Sequence[Angles]) -> DoseInfluence:
        gantry, collimator = zip(*angles, strict=True)
        settings: dict[str, Any] = {"collimator_angles_deg": collimator, "beam_model": model.name, "progress": False}
        return influence(case, gantry, targets, fidelity, rows=rows, **settings)

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

    def optimised(self, problem: FluenceProblem, target: DoseConstraint, start: Apertures, effort: Effort) -> Apertures:
        """Return the best apertures found from a start, scaled to cover a target on the rows.

        Parameters
        ----------
        problem : FluenceProblem
            On the rows.
        target : DoseConstraint
            Coverage of the primary target.
        start : Apertures
        effort : Effort
        """
        exact = ExactDose(self._traced, self._rasters, self.columns.beam)
        optimiser = ApertureOptimiser(self.columns, problem, target, self._bounds, exact)
        leaves = exact.covering(optimiser.state(self._leaves(start)).leaves, target)
        leaves = exact.covering(optimiser.optimise(leaves, effort), target)
        return rounded(self._apertures(leaves), self.machine)

    def _rasters(self, leaves: Leaves) -> list[Raster]:
        return self._apertures(leaves).rasters(self.model, self.machine.dosimetric_leaf_gap_mm, self.fractions)

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


class ExactDose:
    """The dose of leaves by beam, shape (beams, rows), without K; scaled where they only change their units.

    Parameters
    ----------
    traced : Prepared
    rasters : callable
        Gives those of leaves.
    beam : ndarray of int, shape (intervals,)
        Of each interval.
    """

    def __init__(self, traced: Prepared, rasters: Callable[[Leaves], list[Raster]], beam: NDArray[np.int64]) -> None:
        self._traced, self._rasters, self._beam = traced, rasters, beam
        self._known: tuple[Leaves, NDArray[np.float32]] | None = None

    def __call__(self, leaves: Leaves) -> NDArray[np.float32]:
        if self._known is None or (factor := self._factor(self._known[0], leaves)) is None:
            dose = self._traced.dose_by_beam(self._rasters(leaves))
        else:
            dose = factor.astype(np.float32)[:, None] * self._known[1]
        self._known = leaves, dose
        return dose

    def _factor(self, known: Leaves, leaves: Leaves) -> Array | None:
        """By which each beam's dose has changed; None where that is not all."""
        ends = ((known.left, leaves.left), (known.right, leaves.right))
        if (known.units <= 0).any() or not all(np.allclose(*each, rtol=0, atol=1e-6) for each in ends):
            return None
        by_interval = leaves.units / known.units
        of_beam = np.zeros(self._beam.max() + 1)
        of_beam[self._beam] = by_interval
        return of_beam if np.allclose(of_beam[self._beam], by_interval, rtol=1e-9) else None

    def covering(self, leaves: Leaves, target: DoseConstraint) -> Leaves:
        """Return leaves with units scaled to cover a target."""
        achieved = target.achieved_gy(self(leaves).sum(axis=0, dtype=float))
        return replace(leaves, units=leaves.units * (target.dose_gy / achieved if achieved > 0 else 1.0))
