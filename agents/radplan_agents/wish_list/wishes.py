"""Wishes: what a protocol asks for, in order of priority, and the limits by which the inner loop holds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from radplan_agents.criteria import decided_by_body, is_held
from radplan_env.bound import Bound
from radplan_env.limits import Limit
from radplan_env.planning import Plan, PlanningSystem, Summary
from radplan_env.protocol import OUTSIDE_TARGETS

NEAR_MINIMUM_VOLUME, NEAR_MINIMUM_DOSE = 98.0, 0.95
"""% of a target that must receive a share of its prescription, the near-minimum dose of ICRU 83, in every plan."""

UNSEEN = 0.025
"""Share of its value by which a plan may miss a goal that the inner loop holds: between its rows it sees no dose."""

BODY = "Body"


@dataclass(frozen=True)
class Goal(Bound):
    """A bound on one metric of one structure: a criterion of the protocol, or how far it has been met."""

    def reached(self, plan: Summary) -> float:
        """Return the metric's value in a plan's summary."""
        return float(plan["metrics"][self.structure][self.metric])

    def miss(self, plan: Summary) -> float:
        """Return by how much a plan misses the goal, as a fraction of its value; not above 0 where it is met."""
        excess = self.reached(plan) / self.value - 1
        return excess if self.upper else -excess

    def let_go(self, plan: Summary, slack: float) -> Goal:
        """Return the goal that a plan reaches with so much to spare."""
        return replace(self, value=self.reached(plan) * (1 + slack if self.upper else 1 - slack))


@dataclass(frozen=True)
class Wish:
    """Goals of one priority that the parameters of one structure decide over."""

    structure: str
    priority: int
    goals: tuple[Goal, ...]

    def miss(self, plan: Summary) -> float:
        """Return the largest miss of its goals."""
        return max(goal.miss(plan) for goal in self.goals)

    def met(self, plan: Summary) -> bool:
        """Whether a plan meets every goal, as closely as the inner loop can hold it."""
        return self.miss(plan) <= UNSEEN


def wish_list(protocol: Mapping[str, Any]) -> tuple[Wish, ...]:
    """Return the wishes of ``info["protocol"]``, the highest priority first.

    Criteria of one priority and structure make a wish. Before all of them comes the near-minimum dose of each target:
    constraints on organs alone would be bought with cold spots that D95 does not see. D95 itself, where it is the
    prescription, is no wish: the inner loop holds it in every solve.
    """
    rx_gy: Mapping[str, float] = protocol["prescriptions_gy"]
    wishes = [Wish(target, 1, (Goal(target, "D98%", False, NEAR_MINIMUM_DOSE * gy),)) for target, gy in rx_gy.items()]
    grouped: dict[tuple[int, str], list[Goal]] = {}
    for c in sorted(protocol["criteria"], key=lambda c: int(c["priority"])):
        if is_held(c, rx_gy):
            continue
        goal = Goal.of(c)
        structure = BODY if decided_by_body(goal.structure, goal.metric) else goal.structure
        grouped.setdefault((c["priority"], structure), []).append(goal)
    return (*wishes, *(Wish(structure, priority, tuple(g)) for (priority, structure), g in grouped.items()))


def limits(wishes: Iterable[Wish], system: PlanningSystem, plan: Plan) -> tuple[Limit, ...]:
    """Return limits that hold every goal of some wishes; of two on the same side of a metric, the stricter one.

    `plan` is the last one of the case that `system` plans.
    """
    found: dict[tuple[str, bool], Limit] = {}
    for limit in (limit for wish in wishes for goal in wish.goals for limit in _limits(goal, system, plan)):
        known = found.setdefault((limit.name, limit.upper), limit)
        if limit.bound.stricter(known.bound) == limit.bound:
            found[limit.name, limit.upper] = limit
    return tuple(found.values())


def _limits(goal: Goal, system: PlanningSystem, plan: Plan) -> list[Limit]:
    if goal.metric == "CI":
        return _conformity(goal, system, plan)
    if goal.metric == "R50":
        level_gy = 0.5 * system.protocol.primary.prescription_gy
        doses = system.doses(plan.dose_gy)
        body, outside = (doses[name].size for name in (BODY, OUTSIDE_TARGETS))
        return [Limit(BODY, f"V{level_gy:.6g}Gy", at_most=min(100 * goal.value * (1 - outside / body), 100.0))]
    if goal.metric == "HI":  # (D5 − D95) / Rx, where D95 is held at Rx
        rx_gy = system.protocol.prescription_gy(goal.structure)
        return [Limit(goal.structure, "D5%", at_most=rx_gy * (1 + goal.value / 100))]
    if goal.upper:
        return [Limit(goal.structure, goal.metric, at_most=goal.value)]
    return [Limit(goal.structure, goal.metric, at_least=goal.value)]


def _conformity(goal: Goal, system: PlanningSystem, plan: Plan) -> list[Limit]:
    """Limits on how much beyond a target receives 95 % of its prescription, for its conformity index.

    CI = (f TV)² / (TV · (f TV + beyond)), where a share f of the target receives 95 % of Rx: what the near-minimum
    dose makes of it at least. What lies beyond it in `plan`, outside the targets and in other ones, is cut, or let
    grow, everywhere by the same factor; where `plan` meets the goal it may stay as it is.
    """
    level_gy = NEAR_MINIMUM_DOSE * system.protocol.prescription_gy(goal.structure)
    others = [target.structure for target in system.protocol.targets if target.structure != goal.structure]
    in_case = system.doses(plan.dose_gy)
    doses = {name: in_case[system.protocol.case_name[name]] for name in others}
    doses[OUTSIDE_TARGETS] = in_case[OUTSIDE_TARGETS]
    beyond = {name: np.count_nonzero(dose >= level_gy) for name, dose in doses.items()}
    share = NEAR_MINIMUM_VOLUME / 100
    target = in_case[system.protocol.case_name[goal.structure]].size
    factor = max(share**2 / goal.value - share, 0.0) * target / max(sum(beyond.values()), 1)
    if goal.miss(plan.summary()) <= 0:
        factor = max(factor, 1.0)
    return [
        Limit(name, f"V{level_gy:.6g}Gy", at_most=min(100 * factor * voxels / doses[name].size, 100.0))
        for name, voxels in beyond.items()
    ]
