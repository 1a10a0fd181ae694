"""The forms of GPT-RadPlan filled in by rule and at random."""

from __future__ import annotations

from itertools import islice
from typing import Any

import pytest

from radplan_agents import make_agent, play
from radplan_env import RadPlanEnv


def plans_of(name: str, env: RadPlanEnv, seed: int = 0, steps: int = 99) -> list[dict[str, Any]]:
    agent = make_agent(name, env, seed=seed)
    return [info["plan"] for info in islice(play(agent, env), steps)]


def changed(one: dict[str, Any], other: dict[str, Any]) -> list[tuple[float, float]]:
    return [
        (value, other["parameters"][structure][quantity])
        for structure, values in one["parameters"].items()
        for quantity, value in values.items()
        if other["parameters"][structure][quantity] != value
    ]


@pytest.mark.slow
def test_the_rule_moves_one_remedy_from_the_best_plan_so_far(env: RadPlanEnv) -> None:
    plans = plans_of("menu-rule", env)
    ends = {end for ranges in env.action_map.ranges().values() for bounds in ranges.values() for end in bounds}
    assert len(plans) == env.budget
    for number, plan in enumerate(plans[1:], 1):
        before = max(plans[:number], key=lambda each: each["score"])
        ((old, new),) = changed(before, plan)
        moved = new / old == pytest.approx(2) or old / new == pytest.approx(2) or abs(new - old) == pytest.approx(5)
        assert moved or new in ends, "a change is as large as the form has it, or stops at the end of its range"


@pytest.mark.slow
def test_chance_differs_by_seed_and_keeps_to_the_form(env: RadPlanEnv) -> None:
    one = plans_of("menu-random", env, seed=1)
    same, other = (plans_of("menu-random", env, seed, steps=2) for seed in (1, 2))
    assert one[:2] == same and one[1] != other[1] and len(one) == env.budget
    for number, plan in enumerate(one[1:], 1):
        assert min(len(changed(earlier, plan)) for earlier in one[:number]) <= 4
        ranges = env.action_map.ranges()
        for structure, values in plan["parameters"].items():
            for quantity, value in values.items():
                low, high = ranges[structure][quantity]
                assert low <= value <= high
