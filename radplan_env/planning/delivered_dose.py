"""Dose and verdict of apertures: what a delivered plan is judged by, and all that replaying one takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radplan_env.beam_models import BeamModel
from radplan_env.beams import Beam, Bixels
from radplan_env.case import Case
from radplan_env.delivery.delivered import Delivery
from radplan_env.delivery.limits import rounded
from radplan_env.dose import Prepared, prepare
from radplan_env.influence.rows import Rows
from radplan_env.verdict import Judge, VerdictKind

from .plan import Plan
from .robustness import robustness


def dose_of(
    plan: Plan,
    model: BeamModel,
    columns: Callable[[Plan], tuple[tuple[Beam, ...], Bixels]],
    traced: Callable[[tuple[Beam, ...]], Prepared],
) -> NDArray[np.float32]:
    """Return the dose in Gy of a plan's last stage, shape (points,): of its apertures, or of its fluence.

    Parameters
    ----------
    plan : Plan
    model : BeamModel
    columns : callable
        Gives the beams of a plan, and what the values of its fluence belong to; not asked of apertures, as it takes K.
    traced : callable
        Gives beams traced to the points.
    """
    if (held := plan.delivery) is not None:
        return traced(held.beams(held.parts)).dose(held.rasters(model, held.parts))
    beams, bixels = columns(plan)
    return traced(beams).dose_of_bixels(bixels, plan.fluence)


class DeliveredDose:
    """Gives plans of one case their deliverable stage, from apertures.

    Parameters
    ----------
    case : Case
    judge : Judge
    shown : Rows
        Where doses are shown.
    """

    def __init__(self, case: Case, judge: Judge, shown: Rows) -> None:
        self._judge, self._shown = judge, shown

        def traced(beams: tuple[Beam, ...]) -> Prepared:
            return prepare(case, beams, shown.points_mm, beam_model=judge.beam_model)

        self._traced = lru_cache(1)(traced)

    def scaled(self, plan: Plan, delivery: Delivery, verdict: VerdictKind, coarse: Plan | None = None) -> Plan:
        """Return a plan with apertures scaled to cover the primary target, in steps of the machine."""
        beams, rasters = delivery.beams(delivery.parts), delivery.rasters(self._judge.beam_model, delivery.parts)
        exact = delivery.apertures.scaled(self._judge.factor_of_rasters(beams, rasters, verdict))
        return self.again(plan, replace(delivery, apertures=rounded(exact, delivery.machine)), verdict, coarse)

    def again(self, plan: Plan, delivery: Delivery, verdict: VerdictKind, coarse: Plan | None = None) -> Plan:
        """Return a plan with dose and verdict of apertures as they are, unscaled; under errors too if handed over."""
        model, parts, dose = self._judge.beam_model, delivery.parts, np.zeros(plan.grid.shape, dtype=np.float32)
        settings: dict[str, Any] = {"scale": False, "monitor_units": delivery.monitor_units}
        judged = self._judge.judge_rasters(delivery.beams(parts), delivery.rasters(model, parts), verdict, **settings)
        rasters = delivery.rasters(model)
        dose.flat[self._shown.index] = self._traced(delivery.beams()).dose(rasters)
        if not delivery.final:
            return plan.delivered(dose, judged.evaluation, delivery, None, coarse)
        under_errors = robustness(self._judge, delivery)
        evaluation = judged.evaluation.refused(under_errors.reasons)
        return plan.delivered(dose, evaluation, delivery, under_errors.summary(), coarse)
