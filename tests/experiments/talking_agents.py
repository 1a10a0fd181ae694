"""Agents that talk to a language model, named in tests as talking_agents:Class."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from radplan_agents.llm import Failed, Image, Session, system, user
from radplan_env.env import RadPlanEnv


def _known(name: str, info: ValidationInfo) -> str:
    if name not in (info.context or {})["structures"]:
        raise PydanticCustomError("unknown_structure", "there is no structure {name}", {"name": name})
    return name


class Change(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    structure: Annotated[str, AfterValidator(_known)]
    weight_factor: float = Field(gt=0, le=10)


class Talker:
    """Plans a target too hot for any protocol, then asks what to change: its episodes go on to the budget."""

    needs_language_model = True

    def __init__(self, env: RadPlanEnv, *, seed: int = 0, session: Session, instructions: str = "") -> None:
        self._action_map = env.action_map
        self._session = session
        self._instructions = instructions
        self._failed_steps = 0

    def reset(self, observation: Any, info: Any) -> None:
        self._ranges = info["ranges"]

    def act(self, observation: Any, info: Any) -> Any:
        if "plan" not in info:
            start = {name: dict(values) for name, values in info["start_parameters"].items()}
            target = next(iter(start))
            start[target]["objective_dose_gy"] = self._ranges[target]["objective_dose_gy"][1]
            return self._action_map.to_action(start)
        plan = info["plan"]
        parameters = {name: dict(values) for name, values in plan["parameters"].items()}
        question = f"Plan {len(plan['history'])} scores {plan['score']:.2f}. Change what?"
        messages = [system(f"Plan. {self._instructions}"), user(question, *self._pictures())]
        change = self._session.ask("planner", messages, Change, context={"structures": set(parameters)})
        if isinstance(change, Failed):
            self._failed_steps += 1
        else:
            values = parameters[change.structure]
            values["weight"] = float(np.clip(values["weight"] * change.weight_factor, *self._weights(change)))
        return self._action_map.to_action(parameters)

    def record(self) -> dict[str, Any]:
        return {**self._session.record(), "failed_steps": self._failed_steps}

    def _weights(self, change: Change) -> Any:
        return self._ranges[change.structure]["weight"]

    def _pictures(self) -> list[Image]:
        return []


class Illustrator(Talker):
    """Shows the model a picture where it can."""

    def _pictures(self) -> list[Image]:
        from radplan_experiments.running.language_model import _grey_square

        return [Image(png=_grey_square(), name="dose")]


class Shower(Illustrator):
    """Shows the model a picture, and can do nothing without."""

    needs_pictures = True
