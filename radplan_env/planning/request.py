"""A solve to be made."""

from __future__ import annotations

from dataclasses import dataclass

from radplan_env.parameters import PlanningParameters

from .plan import Plan


@dataclass(frozen=True)
class PlanRequest:
    """One solve to be made: see `PlanningSystem.plan`.

    Parameters
    ----------
    parameters : PlanningParameters
    warm_start : Plan, optional
    """

    parameters: PlanningParameters
    warm_start: Plan | None = None
