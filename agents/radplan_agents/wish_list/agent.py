"""The planner that goes down the list.

After the 2-phase ε-constraint method (Breedveld 2007, doi 10.1088/0031-9155/52/20/016; iCycle: Breedveld 2012,
doi 10.1118/1.3676689), made to fit a small budget. The original spends a solve on every wish; here a solve tries as
many as may go together. The original minimises a wish out of reach before it looks at the next; here it is held where
it is until the list is through, as most wishes share their priority with others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from radplan_agents.agent import Info, Observation
from radplan_env.env import RadPlanEnv
from radplan_env.parameters import PlanningParameters
from radplan_env.planning import Summary

from .aims import Aims
from .wishes import Goal, Wish, limits, wish_list

SLACK = 0.01
"""By what share of its value a wish is let go when it is held: room for those that come later."""

PRESS = 10.0
"""What the weight of a structure is multiplied by when it is pressed."""


class WishListAgent:
    """Plans down a list of wishes by limits that the inner loop holds (2-phase ε-constraint method).

    Phase 1: the first solve is the template, the second holds every goal at once. If that is too much, bisection finds
    the first wish that cannot be had with all before it, which is then held at what has been attained, and the rest of
    the list is tried again: about four solves for each wish out of reach. Phase 2: each solve left presses one
    structure with ten times its weight while everything else is held, those out of reach first, then the organs.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: nothing is drawn.
    """

    deterministic = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._env = env

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        self._targets = set(info["protocol"]["prescriptions_gy"])
        self._start = self._env.system.protocol.start_parameters()
        self._asked = self._wishes = wish_list(info["protocol"])  # as the protocol has them; as they are held
        self._aims = Aims()
        self._plans: list[Summary] = []
        self._purposes: list[str] = []
        self._together = 0  # so many wishes from the first are known to go together
        self._too_many = len(self._wishes) + 1  # and so many not to
        self._tried = 0
        self._pressed: int | None = None
        self._to_press: list[int] | None = None

    def act(self, observation: Observation, info: Info) -> PlanningParameters | None:
        """Return the template, then what holds as many wishes as may go together; None when all is done."""
        if "plan" not in info:
            return self._solve("template", self._start)
        self._learn(info["plan"])
        count = len(self._wishes)
        while self._together < count and self._too_many == self._together + 1:
            self._give_up(self._together)
        if self._together == count:
            return self._press_next()
        self._tried = count if self._too_many > count else (self._together + self._too_many) // 2
        return self._solve(f"hold {self._tried} of {count} wishes", self._start, self._wishes[: self._tried])

    def record(self) -> dict[str, Any]:
        """Return which wishes the plan that goes furthest down the list reaches, and what each solve was spent on."""
        plans = [*self._plans]
        if self._env.plan is not None and len(plans) < len(self._purposes):
            plans.append(self._env.plan.summary())  # the last one ended the episode
        furthest = max(reversed(plans), key=self._reached, default=None)
        return {
            "wishes": [
                {
                    "wish": goal.name,
                    "priority": wish.priority,
                    "goal": goal.value,
                    "value": None if furthest is None else goal.reached(furthest),
                    "reached": furthest is not None and goal.miss(furthest) <= 0,
                }
                for wish in self._asked
                for goal in wish.goals
            ],
            "solves": list(self._purposes),
        }

    def _solve(self, purpose: str, parameters: PlanningParameters, held: tuple[Wish, ...] = ()) -> PlanningParameters:
        self._purposes.append(purpose)
        plan = self._env.plan
        if plan is None:
            return parameters
        return replace(parameters, limits=self._aims.ask(limits(held, self._env.system, plan)))

    def _learn(self, plan: Summary) -> None:
        """Take in the last solve: which wishes go together, and what the one pressed attains."""
        self._plans.append(plan)
        self._aims.learn(plan)
        if self._pressed is not None:
            self._hold_pressed(self._pressed, plan)
        reached = self._reached(plan)
        if reached < self._tried:
            self._too_many = min(self._too_many, self._tried)
        self._together = max(self._together, reached)
        self._too_many = max(self._too_many, self._together + 1)
        self._tried, self._pressed = 0, None

    def _give_up(self, number: int) -> None:
        """Hold a wish out of reach at the best that any plan attains which meets all before it."""
        wish = self._wishes[number]
        best = min((plan for plan in self._plans if self._reached(plan) >= number), key=wish.miss)
        self._replace(number, [goal.let_go(best, SLACK) if goal.miss(best) > 0 else goal for goal in wish.goals])
        self._together = max(self._reached(plan) for plan in self._plans)
        self._too_many = len(self._wishes) + 1

    def _press_next(self) -> PlanningParameters | None:
        """Press the next wish's structure with all wishes held; None when each has had its turn."""
        if self._to_press is None:
            pairs = list(zip(self._asked, self._wishes, strict=True))
            missed = [number for number, (asked, held) in enumerate(pairs) if asked != held]
            organs = [number for number, (asked, _) in enumerate(pairs) if asked.structure not in self._targets]
            self._to_press = list(dict.fromkeys([*missed, *organs]))
        if not self._to_press:
            return None
        self._pressed = self._to_press.pop(0)
        structure = self._wishes[self._pressed].structure
        weight = self._start.structures[structure].weight
        most = self._env.action_map.ranges()[structure]["weight"][1]
        heavier = self._start.replace(structure, weight=min(PRESS * weight, most))
        return self._solve(f"press {structure}", heavier, self._wishes)

    def _hold_pressed(self, number: int, plan: Summary) -> None:
        """Hold the wish that was pressed at what it attains, if that cost no other."""
        wish = self._wishes[number]
        if self._reached(plan) == len(self._wishes):
            self._replace(number, [goal.let_go(plan, SLACK).stricter(goal) for goal in wish.goals])

    def _replace(self, number: int, goals: list[Goal]) -> None:
        wish = replace(self._wishes[number], goals=tuple(goals))
        self._wishes = (*self._wishes[:number], wish, *self._wishes[number + 1 :])

    def _reached(self, plan: Summary) -> int:
        """How many wishes from the first a plan meets."""
        return next((n for n, wish in enumerate(self._wishes) if not wish.met(plan)), len(self._wishes))
