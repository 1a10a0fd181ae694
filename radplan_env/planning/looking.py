"""The dose of a plan at points, for those who look at it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from radplan_env.verdict.points import JudgedPoints

from .delivered_dose import dose_of
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
    judge = system.judge
    return dose_of(plan, judge.beam_model, system.columns, lambda beams: judge.prepared(beams, points))
