"""The forms of ``gpt-radplan:small`` filled in without a model: what do the forms plan by themselves?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import ValidationError

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.gpt_radplan.memory import Memory, Step
from radplan_agents.gpt_radplan.small.levers import Lever, history, movable, shortfalls
from radplan_agents.gpt_radplan.small.planner import (
    LARGEST_FACTOR,
    LARGEST_STEP_GY,
    MOST_CHANGES,
    Change,
    Checks,
    Proposal,
)
from radplan_agents.gpt_radplan.task import Task
from radplan_env.env import RadPlanEnv

FACTOR, STEP_GY = 2.0, 5.0
"""By what `MenuRule` multiplies or divides a weight, and how far it moves an objective dose."""

MEMORY_STEPS = 3
"""Any number will do, as a form is filled in from the plans alone; 0 would forget the best one."""

DRAWS = 200
"""Proposals that `MenuRandom` draws before it stops: of a few, the form refuses some."""


class MenuPlanner:
    """Fills in the planner's form of ``gpt-radplan:small``; subclasses say how.

    The first plan is the protocol's start parameters. A proposal that the form refuses, such as parameters tried
    before, is passed over for the next; without another the agent stops.
    """

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._env = env
        self._rng = np.random.default_rng(seed)

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        self._task = Task.of(info)
        self._memory = Memory(MEMORY_STEPS)
        self._base: Step | None = None

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the start parameters, then what the form makes of the first proposal that it takes."""
        plan = info.get("plan")
        if plan is None:
            return self._env.action_map.to_action(self._task.start_parameters)
        memory = self._memory
        memory.add(Step(len(memory.trajectory) + 1, plan, self._base))
        checks = Checks(self._task, memory)
        for start, changes in self._proposals():
            proposal = {"reasoning": "", "action": "change", "start_from": start, "changes": changes, "predictions": []}
            try:
                taken = Proposal.model_validate(proposal, context={"checks": checks})
            except ValidationError:
                continue
            self._base = checks.base(taken)
            return self._env.action_map.to_action(checks.moved(taken))
        return None

    def _proposals(self) -> Iterator[tuple[str, list[Change]]]:
        """Yield what may be proposed: the plan to begin from, and changes."""
        raise NotImplementedError


class MenuRule(MenuPlanner):
    """Takes the first remedy that the form lists and whose history is not negative, at a factor of 2 or by 5 Gy.

    Remedies are listed by failing criterion, the most urgent first; a lever's history is what moving it has done to the
    score. It reads no dose, no picture and no feedback.
    """

    deterministic = True

    def _proposals(self) -> Iterator[tuple[str, list[Change]]]:
        starts = {name: step.plan for name, step in self._memory.starts.items()}
        start, tried = next(iter(starts)), history(self._memory)
        for shortfall in shortfalls(starts, self._task):
            for lever in shortfall.remedies:
                if all(trial.gain >= 0 for trial in tried.get(lever, ())):
                    yield start, [_change(lever, FACTOR if lever.parameter == "weight" else STEP_GY)]


class MenuRandom(MenuPlanner):
    """Fills in the form at random: a plan to begin from, one to four levers that can move, and amounts."""

    def _proposals(self) -> Iterator[tuple[str, list[Change]]]:
        starts, rng = self._memory.starts, self._rng
        for _ in range(DRAWS):
            start = list(starts)[rng.integers(len(starts))]
            levers = movable(self._task, [starts[start].parameters])
            count = min(int(rng.integers(1, MOST_CHANGES + 1)), len(levers))
            chosen = [levers[index] for index in rng.choice(len(levers), count, replace=False)]
            yield start, [_change(lever, self._amount(lever)) for lever in chosen]

    def _amount(self, lever: Lever) -> float:
        """Draw a factor, by its logarithm, or a step in Gy, each up to the most that the form allows."""
        if lever.parameter == "weight":
            return float(LARGEST_FACTOR ** self._rng.uniform(0, 1))
        return float(LARGEST_STEP_GY * self._rng.uniform(0.05, 1))


def _change(lever: Lever, amount: float) -> Change:
    return Change(lever=str(lever), amount=amount, reason="")
