"""The wish-list planner, with the real optimiser on a patient whose rows resolve the dose."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import pytest

import radplan_agents
from radplan_agents import make_agent
from radplan_agents.wish_list.wishes import UNSEEN
from radplan_env.case import Case
from radplan_env.protocol import Criterion, Protocol, load_protocol
from radplan_env.sources import synthetic

pytestmark = pytest.mark.slow  # tens of solves at `fast`

BUDGET = 8


@pytest.fixture(scope="module")
def pelvis() -> Case:
    return synthetic.load("train", 2)[1]


def play(case: Case, protocol: Protocol, budget: int = BUDGET) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """An episode: the summary of each plan, and what the agent says of it."""
    env = gym.make(
        "radplan_env:RadPlan/Prostate-v0",
        protocol=protocol,
        cases=[case],
        fidelity="fast",
        budget=budget,
        progress=False,
    )
    agent: Any = make_agent("wish-list", env.unwrapped)  # type: ignore[arg-type]
    return [info["plan"] for info in radplan_agents.play(agent, env)], agent.record()


EASY = {
    **{"PTV_7020 CI": 0.7, "Body R50": 20.0, "OutsideTargets D0.03cc": 90.0, "PTV_7020 DC0.03cc": 50.0},
    **{"PTV_7020 HI": 8.0, "Rectum D0.03cc": 76.0, "Rectum mean": 24.0, "Rectum V31Gy": 35.0},
}
"""Limits that this pelvis can keep beside all others; the template keeps all but the rectum's mean."""


def protocol(**limits: float) -> Protocol:
    """The prostate protocol with other limits on some metrics."""
    known = load_protocol("prostate")

    def change(criterion: Criterion) -> Criterion:
        limit = {**EASY, **limits}.get(criterion.name)
        if limit is None:
            return criterion
        side, worse = ("at_most", 2) if criterion.upper else ("at_least", 0.5)
        return criterion.model_copy(update={side: limit, "ideal": limit / worse, "unacceptable": limit * worse})

    return known.model_copy(update={"criteria": tuple(change(criterion) for criterion in known.criteria)})


def failed(plan: dict[str, Any], priorities: tuple[int, ...] = (1, 2, 3, 4)) -> set[str]:
    return {
        f"{c['structure']} {c['metric']}" for c in plan["criteria"] if not c["passed"] and c["priority"] in priorities
    }


def test_wishes_that_go_together_are_met_in_the_second_solve(pelvis: Case) -> None:
    plans, record = play(pelvis, protocol(), budget=3)
    assert failed(plans[0]) == {"Rectum mean"}
    assert min(criterion["relative_margin"] for criterion in plans[1]["criteria"]) > -UNSEEN
    assert record["solves"][1].startswith("hold") and record["solves"][2].startswith("press")
    assert json.loads(json.dumps(record)) == record


@pytest.fixture(scope="module")
def out_of_reach(pelvis: Case) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    return play(pelvis, protocol(**{"Bladder D50%": 1.0}))


def test_a_wish_out_of_reach_costs_none_of_the_others(
    out_of_reach: tuple[list[dict[str, Any]], dict[str, Any]],
) -> None:
    plans, record = out_of_reach
    assert failed(plans[0], (3,)) == {"Bladder D50%", "Rectum mean"}
    missed = {wish["wish"] for wish in record["wishes"] if abs(wish["value"] / wish["goal"] - 1) > UNSEEN}
    unreached = {wish["wish"] for wish in record["wishes"] if not wish["reached"]}
    assert (missed & unreached) - {"PTV_7020 CI"} == {"Bladder D50%"}  # CI is no limit that the inner loop holds


def test_the_solves_left_press_organs_beyond_their_goals(
    out_of_reach: tuple[list[dict[str, Any]], dict[str, Any]],
) -> None:
    plans, record = out_of_reach
    solves = record["solves"]
    assert len(plans) == len(solves) == BUDGET
    assert solves[0] == "template"
    through = max(number for number, solve in enumerate(solves) if solve.startswith("hold"))
    pressed = solves.index("press Rectum")
    assert pressed > through
    before, after = (plans[number]["metrics"]["Rectum"]["mean"] for number in (through, pressed))
    assert after < before


def test_it_plans_the_same_twice(pelvis: Case, out_of_reach: tuple[list[dict[str, Any]], dict[str, Any]]) -> None:
    again, _ = play(pelvis, protocol(**{"Bladder D50%": 1.0}), budget=2)
    assert [plan["metrics"] for plan in again] == [plan["metrics"] for plan in out_of_reach[0][:2]]
