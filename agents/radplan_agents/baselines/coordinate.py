"""A rule-based planner that works as a dosimetrist does: press where a criterion fails, one structure at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from radplan_agents.agent import Action, Info, Observation
from radplan_agents.criteria import Criterion, decided_by_body, failing, lies_in_overlap
from radplan_env.env import RadPlanEnv

Plan = Mapping[str, Any]
Parameters = dict[str, dict[str, float]]

FACTOR = 3.0
"""A full stride multiplies a weight by this."""

CLOSER = 0.5
"""A full stride brings an objective dose this much closer to its lowest value."""

ROOM = 0.25
"""A criterion has room if it is met by this fraction of its limit."""

SPARE = "every organ that passes"


class CoordinateAgent:
    """Coordinate search with a dosimetrist's rules for what to try next.

    It starts from the template plan and always moves on from the best plan so far. A move either presses one
    structure that fails a criterion, raising its weight and lowering its objective dose while organs with room
    give way, or lowers the objective doses of every organ that passes. The move with the longest stride is tried
    first, and among equals the structure whose criterion has the highest priority; a move that does not improve
    the score has its stride halved.

    The constants were chosen on synthetic training cases; results change little with them.

    Parameters
    ----------
    env : RadPlanEnv
        The environment.
    seed : int
        Unused: nothing is drawn.
    """

    deterministic = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0) -> None:
        self._action_map = env.action_map
        self._ranges = env.action_map.ranges()

    def reset(self, observation: Observation, info: Info) -> None:
        """Begin an episode."""
        self._rx_gy: dict[str, float] = dict(info["protocol"]["prescriptions_gy"])
        self._best: Plan | None = None
        self._strides: defaultdict[str, float] = defaultdict(lambda: 1.0)
        self._last = ""

    def act(self, observation: Observation, info: Info) -> Action | None:
        """Return the template first, then one move from the best plan; None when no move is left."""
        plan = info.get("plan")
        if plan is None:
            return self._action_map.to_action(info["start_parameters"])
        if self._best is None or plan["score"] > self._best["score"]:
            self._best = plan
        else:
            self._strides[self._last] /= 2
        current = self._action_map.to_action(self._best["parameters"])
        for move in sorted(self._moves(self._best), key=lambda move: -self._strides[move]):
            action = self._action_map.to_action(self._moved(self._best, move))
            if not np.array_equal(action, current):  # it is, where a range ends
                self._last = move
                return action
        return None

    def _moves(self, plan: Plan) -> list[str]:
        """Structures to press, highest priority first, then `SPARE`."""
        return [*dict.fromkeys(self._governing(criterion) for criterion in failing(plan)), SPARE]

    def _moved(self, plan: Plan, move: str) -> Parameters:
        """The plan's parameters after a move."""
        parameters: Parameters = {name: dict(values) for name, values in plan["parameters"].items()}
        stride = self._strides[move]
        for name, values in parameters.items():
            criteria = [criterion for criterion in plan["criteria"] if self._governing(criterion) == name]
            organ = name not in self._rx_gy and name != "Body"
            lower = False
            if name == move:
                values["weight"] *= FACTOR**stride
                lower = any(criterion["upper"] and not criterion["passed"] for criterion in criteria)
            elif move == SPARE:
                lower = organ and all(criterion["passed"] for criterion in criteria)
            elif organ and all(criterion["relative_margin"] > ROOM for criterion in criteria):
                values["weight"] /= FACTOR ** (stride / 2)
            if lower:
                excess_gy = values["objective_dose_gy"] - self._rx_gy.get(name, 0.0)
                values["objective_dose_gy"] -= CLOSER * stride * excess_gy
            for quantity, (low, high) in self._ranges[name].items():
                values[quantity] = float(np.clip(values[quantity], low, high))
        return parameters

    def _governing(self, criterion: Criterion) -> str:
        """The structure whose parameters decide over a criterion."""
        structure, (primary, rx_gy) = criterion["structure"], max(self._rx_gy.items(), key=lambda item: item[1])
        if decided_by_body(structure, criterion["metric"]):
            return "Body"
        if structure not in self._rx_gy and lies_in_overlap(criterion, rx_gy):
            return primary
        return str(structure)
