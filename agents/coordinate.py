"""A rule-based planner: presses where a criterion fails, gives way where there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from agents.agent import Action, Info, Observation
from radplan_env.actions import ActionMap

Criterion = Mapping[str, Any]
Parameters = dict[str, dict[str, float]]

FACTOR = 3.0
ROOM = 0.25


class CoordinateAgent:
    def __init__(self, action_map: ActionMap, *, seed: int = 0) -> None:
        self._action_map = action_map
        self._ranges = action_map.ranges()

    def reset(self, observation: Observation, info: Info) -> None:
        self._rx_gy = dict(info["protocol"]["prescriptions_gy"])
        self._best: Mapping[str, Any] | None = None
        self._stride = 1.0

    def act(self, observation: Observation, info: Info) -> Action | None:
        plan = info.get("plan")
        if plan is None:
            return self._action_map.to_action(info["start_parameters"])
        if self._best is None or plan["score"] > self._best["score"]:
            self._best = plan
        else:
            self._stride /= 2
        return self._action_map.to_action(self._moved(self._best))

    def _moved(self, plan: Mapping[str, Any]) -> Parameters:
        parameters: Parameters = {name: dict(values) for name, values in plan["parameters"].items()}
        press = {self._responsible(c) for c in plan["criteria"] if not c["passed"]}
        factor = FACTOR**self._stride
        for name, values in parameters.items():
            own = [c for c in plan["criteria"] if c["structure"] == name]
            lowest = self._rx_gy.get(name, 0.0)
            if name in press:
                values["weight"] *= factor
                values["objective_dose_gy"] -= 0.5 * self._stride * (values["objective_dose_gy"] - lowest)
            elif name not in self._rx_gy and own and all(c["relative_margin"] > ROOM for c in own):
                values["weight"] /= factor
            for quantity, (low, high) in self._ranges[name].items():
                values[quantity] = float(np.clip(values[quantity], low, high))
        return parameters

    def _responsible(self, criterion: Criterion) -> str:
        structure = criterion["structure"]
        if structure == "OutsideTargets" or criterion["metric"] == "CI":
            return "Body"
        rx = max(self._rx_gy.values())
        if structure not in self._rx_gy and criterion["unit"] == "Gy" and criterion["limit"] >= 0.95 * rx:
            return max(self._rx_gy, key=lambda n: self._rx_gy[n])
        return structure
