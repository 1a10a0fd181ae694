"""The dose of a plan at points, for those who look at it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from radplan_env.verdict.points import JudgedPoints

from .plan import Plan
from .system import PlanningSystem


def dose_at_points(system: PlanningSystem, plan: Plan, points: JudgedPoints) -> NDArray[Any]:
    """Return the dose of a plan's last stage at points of its case.

    Parameters
    ----------
    system : PlanningSystem
        That made the plan.
    plan : Plan
    points : JudgedPoints
        Such as ``system.judge.check_points``.

    Returns
    -------
    ndarray of float32, shape (points,)
        Total dose of the scaled plan in Gy.
    """
    judge, held = system.judge, plan.delivery
    if held is not None:
        return judge.prepared(held.beams(held.parts), points).dose(held.rasters(judge.beam_model, held.parts))
    beams, bixels = system.columns(plan)
    return judge.prepared(beams, points).dose_of_bixels(bixels, plan.fluence)
