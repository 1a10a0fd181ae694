"""The pictures of a plan that a planner looks at: what costs the score most, where it is and what has changed."""

from __future__ import annotations

from radplan_env.render.plots import dvh_view
from radplan_env.render.views import View, change_view, plan_views, slice_view

from .desk import Desk, Solved
from .places import Place, costly_places


def plan_pictures(desk: Desk, solved: Solved) -> list[View]:
    """Return the pictures of a plan.

    Its dose on three planes and in slices over the primary target; the slice through the worst point of each of the
    costliest terms of the score; what has changed against the plan that it began from; and its DVHs beside that plan's.
    """
    case, rx_gy = desk.system.case, desk.system.protocol.primary.prescription_gy
    dose, base = solved.plan.dose_on(case.grid), solved.base
    views = plan_views(case, dose, prescription_gy=rx_gy)
    views += [worst_view(desk, solved, name, place) for name, place in costly_places(desk, solved)]
    if base is not None:
        views.append(change_view(case, dose, base.plan.dose_on(case.grid), prescription_gy=rx_gy))
    before = None if base is None else base.plan.evaluation.dvh
    return [*views, dvh_view(solved.plan.evaluation.dvh, prescription_gy=rx_gy, reference=before)]


def worst_view(desk: Desk, solved: Solved, name: str, place: Place) -> View:
    """Return the slice through the worst point of a criterion or term, marked by a cross with its dose."""
    case = desk.system.case
    return slice_view(
        case,
        solved.plan.dose_on(case.grid),
        prescription_gy=desk.system.protocol.primary.prescription_gy,
        z_mm=place.position_mm[0],
        cross_mm=place.position_mm,
        label=f"{name.partition('(')[0]}: {place.dose_gy:.1f} Gy",
    )
