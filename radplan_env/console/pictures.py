"""The pictures of a plan that a planner looks at."""

from __future__ import annotations

from radplan_env.render.plots import dvh_view
from radplan_env.render.views import View, plan_views

from .desk import Desk, Solved


def plan_pictures(desk: Desk, solved: Solved) -> list[View]:
    """Return the pictures of a plan: its dose, and its DVHs beside those of the plan it began from."""
    case, rx_gy = desk.system.case, desk.system.protocol.primary.prescription_gy
    before = None if solved.base is None else solved.base.plan.evaluation.dvh
    return [
        *plan_views(case, solved.plan.dose_on(case.grid), prescription_gy=rx_gy),
        dvh_view(solved.plan.evaluation.dvh, prescription_gy=rx_gy, reference=before),
    ]
