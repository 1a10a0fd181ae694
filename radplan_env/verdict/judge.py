"""Judging: the dose of a fluence at the verdict's points, scaled to cover the primary target, scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import beam_model_named
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.dose import Prepared, Raster, prepare
from radplan_env.dose_view import DoseView
from radplan_env.evaluation import Evaluation, dose_view, evaluate
from radplan_env.metrics import by_dose, dose_at_volume
from radplan_env.protocol import OUTSIDE_TARGETS, BoundProtocol
from radplan_env.scorecards import Scorecard

from .points import JudgedPoints, VerdictKind, check_points, verdict_points
from .regions import Regions

SAMPLED = 30_000
"""Points of a sampled verdict, drawn evenly from each combination of regions."""

SAMPLED_LATTICE_MM = 2.0
"""Of the lattices that a sampled verdict's dose is convolved on; they are most of what it costs (docs/verdict.md)."""

_KEPT_BEAM_SETS = 2


@dataclass(frozen=True, eq=False)
class Judgement:
    """What is said of a fluence.

    Parameters
    ----------
    evaluation : Evaluation
        Of the scaled plan, at the verdict's points.
    scaled_by : float
        Factor to D95 = Rx of the primary target there; 1 for a plan without dose.
    whole_d95_gy : float
        D95 of the primary target as drawn, skin included.
    kind : {"full", "sampled"}
        Whether all points were asked.
    """

    evaluation: Evaluation
    scaled_by: float
    whole_d95_gy: float
    kind: VerdictKind = "full"


class Judge:
    """Judges the plans of a case by one yardstick, whatever they were optimised on.

    Parameters
    ----------
    case : Case
    protocol : BoundProtocol
    scorecard : Scorecard
    beam_model : str
        Of the dose: see `radplan_env.dose`.

    Raises
    ------
    CaseError
        If a target lies wholly under the skin.
    """

    def __init__(self, case: Case, protocol: BoundProtocol, scorecard: Scorecard, *, beam_model: str) -> None:
        self.case, self.protocol, self.scorecard = case, protocol, scorecard
        self.beam_model = model = beam_model_named(beam_model)
        self.regions = Regions.of(case, protocol)

        # Without `self`: a judge must be freed when the last who uses it lets go, not when the collector comes by.
        def traced(beams: tuple[Beam, ...], points: JudgedPoints) -> Prepared:
            coarse = points.kind == "sampled" and not model.kernels.pencils_only  # pencils' bixels need their lattice
            lattice_mm = SAMPLED_LATTICE_MM if coarse else None
            return prepare(case, beams, points.positions_mm, beam_model=model, spacing_mm=lattice_mm)

        self._traced = lru_cache(2 * _KEPT_BEAM_SETS)(traced)

    @cached_property
    def points(self) -> JudgedPoints:
        """All points of the verdict."""
        return verdict_points(self.case, self.protocol, self.regions)

    @cached_property
    def sampled_points(self) -> JudgedPoints:
        """The subset that a sampled verdict asks."""
        return self.points.reweighted(self.points.subset(SAMPLED))

    @cached_property
    def check_points(self) -> JudgedPoints:
        """Points that planners may look at: none of them is judged on."""
        return check_points(self.case, self.protocol, self.regions)

    def prepared(self, beams: Sequence[Beam], points: JudgedPoints) -> Prepared:
        """Return beams traced to points of this case; those of the last few are kept."""
        return self._traced(tuple(beams), points)

    def view(self, dose_gy: NDArray[Any], points: JudgedPoints, scaled_by: float = 1.0) -> DoseView:
        """Return doses in Gy, shape (points,), scaled already by a factor, as scorecards see them."""
        doses, volumes = self._by_region(dose_gy, points)
        beside = {"scaled_by": scaled_by, "in_targets_percent": self.in_targets_percent}
        return dose_view(doses, volumes, self.protocol, **beside)

    def _points_of(self, kind: VerdictKind) -> JudgedPoints:
        return self.points if kind == "full" else self.sampled_points

    def judge(
        self, beams: Sequence[Beam], bixels: Bixels, fluence: NDArray[Any], kind: VerdictKind = "full"
    ) -> Judgement:
        """Judge a fluence.

        Parameters
        ----------
        beams : sequence of Beam
        bixels : Bixels
        fluence : ndarray, shape (bixels,)
        kind : {"full", "sampled"}
            Whether to ask all points or the sampled ones.

        Raises
        ------
        ValueError
            If the fluence does not belong to the bixels, or is negative or not finite.
        """
        points = self._points_of(kind)
        dose = self.prepared(beams, points).dose_of_bixels(bixels, np.asarray(fluence))
        return self.judge_dose(dose, points)

    def judge_rasters(
        self,
        beams: Sequence[Beam],
        rasters: Sequence[Raster],
        kind: VerdictKind = "full",
        *,
        scale: bool = True,
        monitor_units: float | None = None,
    ) -> Judgement:
        """Judge apertures, one raster of total fluence a beam; see `radplan_env.dose.Prepared.dose`.

        `monitor_units` are those of a fraction.
        """
        points = self._points_of(kind)
        dose = self.prepared(beams, points).dose(rasters)
        return self.judge_dose(dose, points, scale=scale, monitor_units=monitor_units)

    def factor_of_rasters(self, beams: Sequence[Beam], rasters: Sequence[Raster], kind: VerdictKind = "full") -> float:
        """Return what apertures must be scaled by to cover the primary target; see `judge_rasters`."""
        points = self._points_of(kind)
        target = points.inside(self.protocol.primary.structure)
        dose = self.prepared(beams, points).at(target).dose(rasters)
        return self._covering(dose, points.volume_cc[target])

    def judge_dose(
        self,
        dose_gy: NDArray[Any],
        points: JudgedPoints,
        *,
        scale: bool = True,
        monitor_units: float | None = None,
    ) -> Judgement:
        """Judge doses in Gy, shape (points,), at points of this case; unscaled, as under an error of delivery."""
        factor = self._factor(dose_gy, points) if scale else 1.0
        doses, volumes = self._by_region(dose_gy, points, factor)
        per_gy = self.protocol.protocol.fractions / self.protocol.primary.prescription_gy
        evaluation = evaluate(
            doses,
            volumes,
            self.protocol,
            self.scorecard,
            scaled_by=factor,
            in_targets_percent=self.in_targets_percent,
            mu_per_gy=None if monitor_units is None else factor * monitor_units * per_gy,
        )
        whole = f"{self.protocol.primary.structure}.whole"
        return Judgement(evaluation, factor, dose_at_volume(doses[whole], 95, volumes[whole]), points.kind)

    def _by_region(
        self, dose_gy: NDArray[Any], points: JudgedPoints, factor: float = 1.0
    ) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[np.float64]]]:
        """Scaled doses and volumes of each region's points, the coldest first, by its name in the case."""
        hottest_last = by_dose(np.asarray(dose_gy))  # once for all regions
        dose = factor * dose_gy[hottest_last]
        volume, code = points.volume_cc[hottest_last], points.code[hottest_last]
        inside = {name: (code >> bit & 1).astype(bool) for bit, name in enumerate(points.names)}
        names = {self.protocol.case_name.get(name, name): name for name in points.names}
        doses = {own: dose[inside[name]] for own, name in names.items()}
        return doses, {own: volume[inside[name]] for own, name in names.items()}

    def _factor(self, dose_gy: NDArray[Any], points: JudgedPoints) -> float:
        target = points.inside(self.protocol.primary.structure)
        return self._covering(dose_gy[target], points.volume_cc[target])

    def _covering(self, target_gy: NDArray[Any], volume_cc: NDArray[np.float64]) -> float:
        d95 = dose_at_volume(target_gy, 95, volume_cc)
        return self.protocol.primary.prescription_gy / d95 if d95 > 0 else 1.0

    @cached_property
    def cropped_cc(self) -> dict[str, float]:
        """What each target loses to the skin, in cc."""
        drawn = {target.structure: f"{target.structure}.whole" for target in self.protocol.targets}
        return {name: self.regions.volume_cc(whole) - self.regions.volume_cc(name) for name, whole in drawn.items()}

    @cached_property
    def in_targets_percent(self) -> Mapping[str, float]:
        """How much of each structure lies in targets."""
        outside = self.regions.masks[OUTSIDE_TARGETS]
        masks = {name: self.regions.masks[name] for name in self.protocol.structures}
        return {name: 100 * (1 - float(outside[mask].mean())) for name, mask in masks.items()}
