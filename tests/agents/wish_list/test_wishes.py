"""The wish list follows the protocol's order, and its limits say what the criteria say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from radplan_agents.wish_list.wishes import Goal, Wish, limits, wish_list
from radplan_env.case import Case
from radplan_env.influence import Fidelity
from radplan_env.planning import Plan, PlanningSystem
from radplan_env.protocol import Protocol, load_protocol

COARSE = Fidelity("coarse", dose_grid_mm=5.0, bixel_mm=10.0)


def task(protocol: Protocol) -> dict[str, Any]:
    """What the environment tells of a protocol whose structures are all there."""
    return {
        "prescriptions_gy": {target.structure: target.prescription_gy for target in protocol.targets},
        "criteria": [
            {
                "structure": c.structure,
                "metric": c.metric,
                "upper": c.upper,
                "limit": c.limit,
                "priority": c.priority,
            }
            for c in protocol.criteria
        ],
    }


@pytest.fixture(scope="module")
def system(head_and_neck_case: Case) -> PlanningSystem:
    return PlanningSystem(head_and_neck_case, "head_and_neck", fidelity=COARSE, progress=False)


@pytest.fixture(scope="module")
def template(system: PlanningSystem) -> Plan:
    return system.plan(system.protocol.start_parameters())


@pytest.mark.parametrize("name", ["prostate", "head_and_neck", "tg119"])
def test_every_criterion_is_wished_once_in_order_of_priority(name: str) -> None:
    protocol = load_protocol(name)
    wishes = wish_list(task(protocol))
    assert [wish.priority for wish in wishes] == sorted(wish.priority for wish in wishes)
    goals = {goal.name: goal for wish in wishes for goal in wish.goals}
    assert len(goals) == sum(len(wish.goals) for wish in wishes)
    for criterion in protocol.criteria:
        if criterion.metric != "D95%":  # the inner loop's own constraint
            assert goals[criterion.name].value == criterion.limit
            assert goals[criterion.name].upper == criterion.upper
    for target in protocol.targets:
        assert goals[f"{target.structure} D98%"].value == pytest.approx(0.95 * target.prescription_gy)


def test_a_goal_is_missed_on_its_own_side() -> None:
    plan = {"metrics": {"Rectum": {"mean": 22.0}, "PTV_7020": {"D98%": 60.0}}}
    rectum, target = Goal("Rectum", "mean", True, 20.0), Goal("PTV_7020", "D98%", False, 66.0)
    assert rectum.miss(plan) == pytest.approx(0.1)
    assert target.miss(plan) == pytest.approx(1 / 11)
    for goal in (rectum, target):
        assert goal.miss(plan) > 0 > goal.let_go(plan, 0.01).miss(plan)
        assert goal.stricter(goal.let_go(plan, 0.01)) == goal


def test_a_plan_that_holds_the_limits_meets_the_wishes(system: PlanningSystem, template: Plan) -> None:
    """Where the dose is held, the indices among them: HI and CI as bounds on doses, CI beside a second target."""

    def on_own_rows(plan: Plan) -> Any:
        return {"metrics": system.evaluate(plan.dose_gy / plan.scaled_by).metrics}

    before = on_own_rows(template)
    reached = before["metrics"]["PTV_7000"]
    wishes = (
        Wish("PTV_7000", 1, (Goal("PTV_7000", "D98%", False, 66.5),)),
        Wish("PTV_7000", 2, (Goal("PTV_7000", "HI", True, 0.8 * reached["HI"]),)),
        Wish("Body", 4, (Goal("PTV_7000", "CI", False, 1.03 * reached["CI"]),)),
        Wish("Larynx", 4, (Goal("Larynx", "mean", True, 0.9 * before["metrics"]["Larynx"]["mean"]),)),
    )
    assert not any(wish.met(before) for wish in wishes[1:])
    held = limits(wishes, system, template)
    plan = system.plan(replace(template.parameters, limits=held), template)
    assert plan.solution.converged
    # The limit for CI is reckoned from the scaled template.
    assert max(wish.miss(on_own_rows(plan)) for wish in wishes) <= 0.01


def test_of_two_wishes_for_one_metric_the_stricter_counts(system: PlanningSystem, template: Plan) -> None:
    wishes = [Wish("PTV_7000", 2, (Goal("PTV_7000", "D99%", False, gy),)) for gy in (66.0, 67.0, 65.0)]
    wishes += [Wish("Larynx", 3, (Goal("Larynx", "mean", True, gy),)) for gy in (40.0, 30.0, 35.0)]
    assert [limit.value for limit in limits(wishes, system, template)] == [67.0, 30.0]
